//! One `NumberDataPoint`, read.

use otlp_wire::{Any, Error, Field, KeyValue, Message, Value, Writer, schema};
use schema::number_data_point as point;

/// What a point says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Int(i64),
    Double(f64),
}

impl Number {
    pub(crate) fn as_f64(self) -> f64 {
        match self {
            Self::Int(value) => value as f64,
            Self::Double(value) => value,
        }
    }

    /// Both as what `whole` or `real` makes of them: whole numbers stay such.
    pub(crate) fn fold(
        self,
        other: Self,
        whole: fn(i64, i64) -> i64,
        real: fn(f64, f64) -> f64,
    ) -> Self {
        match (self, other) {
            (Self::Int(one), Self::Int(other)) => Self::Int(whole(one, other)),
            _ => Self::Double(real(self.as_f64(), other.as_f64())),
        }
    }

    pub(crate) fn write(self, new: &mut Writer<'_>) {
        match self {
            Self::Int(value) => new.fixed64(point::AS_INT, value.cast_unsigned()),
            Self::Double(value) => new.double(point::AS_DOUBLE, value),
        }
    }
}

/// An attribute of a point.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attribute<'a> {
    pub(crate) field: Field<'a>,
    pub(crate) key: &'a [u8],
    pub(crate) value: Any<'a>,
    /// The `AnyValue` as it stands.
    pub(crate) any: &'a [u8],
}

impl<'a> Attribute<'a> {
    pub(crate) fn read(field: Field<'a>) -> Result<Self, Error> {
        let attribute = KeyValue::read(field.message()?)?;
        Ok(Self {
            field,
            key: attribute.key,
            value: attribute.any()?,
            any: attribute.value.map_or(b"", Message::bytes),
        })
    }
}

/// A point.
#[derive(Clone, Debug, Default)]
pub(crate) struct Point<'a> {
    /// Nanoseconds since the epoch; 0 if it does not say.
    pub(crate) start: u64,
    /// Nanoseconds since the epoch.
    pub(crate) time: u64,
    /// None where the series has ended.
    pub(crate) value: Option<Number>,
    /// The value is an increase since the start.
    pub(crate) is_delta: bool,
    pub(crate) attributes: Vec<Attribute<'a>>,
    pub(crate) has_exemplars: bool,
}

impl<'a> Point<'a> {
    pub(crate) fn read(message: Message<'a>) -> Result<Self, Error> {
        let mut read = Self::default();
        let mut ended = false;
        for field in message.fields() {
            let field = field?;
            match (field.number, field.value()) {
                (point::START_TIME, Value::Fixed64(time)) => read.start = time,
                (point::TIME, Value::Fixed64(time)) => read.time = time,
                (point::AS_DOUBLE, Value::Fixed64(bits)) => {
                    read.value = Some(Number::Double(f64::from_bits(bits)));
                }
                (point::AS_INT, Value::Fixed64(bits)) => {
                    read.value = Some(Number::Int(bits.cast_signed()));
                }
                (point::FLAGS, Value::Varint(flags)) => {
                    ended = flags & point::NO_RECORDED_VALUE != 0;
                }
                (point::EXEMPLARS, _) => read.has_exemplars = true,
                (point::ATTRIBUTES, _) => read.attributes.push(Attribute::read(field)?),
                (
                    point::START_TIME
                    | point::TIME
                    | point::AS_DOUBLE
                    | point::AS_INT
                    | point::FLAGS,
                    _,
                ) => return Err(field.unexpected()),
                _ => {}
            }
        }
        if ended {
            read.value = None;
        }
        Ok(read)
    }
}

/// The `Gauge`s and `Sum`s of a metric: one, unless somebody else has written it strangely.
fn numbers<'a>(metric: Message<'a>) -> impl Iterator<Item = Result<Field<'a>, Error>> {
    metric.fields().filter(|field| {
        field.as_ref().map_or(true, |field| {
            matches!(field.number, schema::metric::GAUGE | schema::metric::SUM)
        })
    })
}

/// The points of a metric that are numbers, in their order.
pub(crate) fn points<'a>(metric: Message<'a>) -> Result<Vec<Point<'a>>, Error> {
    let mut points = Vec::new();
    for numbers in numbers(metric) {
        let field = numbers?;
        let numbers = field.message()?;
        let temporality = match field.number {
            schema::metric::SUM => numbers.find(schema::numbers::TEMPORALITY)?,
            _ => None,
        };
        let temporality = temporality.map_or(Ok(0), |field| field.number_value())?;
        for point in numbers.all(schema::numbers::POINTS) {
            let mut point = Point::read(point?.message()?)?;
            point.is_delta = temporality == schema::numbers::DELTA;
            points.push(point);
        }
    }
    Ok(points)
}
