//! Lists inside a body: checked once, read in place.

use std::fmt;

use nom::Parser;

use super::read::{Parsed, count, format, string, uint32, value};
use super::{Format, Private};

/// Something a list can hold.
pub trait Item<'a>: Sized {
    /// Reads one, and returns what follows it.
    fn read(input: &'a [u8]) -> Option<(&'a [u8], Self)>;
}

macro_rules! items {
    ($($type:ty: $parser:expr;)*) => {$(
        impl<'a> Item<'a> for $type {
            fn read(input: &'a [u8]) -> Option<(&'a [u8], Self)> {
                $parser.parse(input).ok()
            }
        }
    )*};
}

items! {
    u32: uint32;
    Format: format;
    &'a [u8]: string;
    Option<Private<'a>>: value.map(|value| value.map(Private));
}

/// Items one behind another. Printed as their number.
pub struct List<'a, T> {
    /// Exactly `len` items, each of which reads.
    items: &'a [u8],
    len: usize,
    item: std::marker::PhantomData<T>,
}

impl<'a, T: Item<'a>> List<'a, T> {
    /// A list of `len` items at the front of `input`.
    pub(super) fn of(len: usize, input: &'a [u8]) -> Parsed<'a, Self> {
        let mut rest = input;
        for _ in 0..len {
            rest = match T::read(rest) {
                Some((after, _)) => after,
                None => return Err(nom::Err::Failure(super::BodyError::TooShort)),
            };
        }
        let items = input
            .get(..input.len().saturating_sub(rest.len()))
            .unwrap_or_default();
        Ok((
            rest,
            Self {
                items,
                len,
                item: std::marker::PhantomData,
            },
        ))
    }

    /// `Int16` count, then so many items.
    pub(super) fn counted(input: &'a [u8]) -> Parsed<'a, Self> {
        let (rest, len) = count(input)?;
        Self::of(usize::from(len), rest)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// One after another.
    #[must_use]
    pub fn iter(&self) -> ListIter<'a, T> {
        ListIter {
            rest: self.items,
            left: self.len,
            item: std::marker::PhantomData,
        }
    }
}

impl<T> Clone for List<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for List<'_, T> {}

impl<T> PartialEq for List<'_, T> {
    fn eq(&self, other: &Self) -> bool {
        (self.len, self.items) == (other.len, other.items)
    }
}

impl<T> fmt::Debug for List<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} items>", self.len)
    }
}

impl<'a, T: Item<'a>> IntoIterator for List<'a, T> {
    type Item = T;
    type IntoIter = ListIter<'a, T>;

    fn into_iter(self) -> ListIter<'a, T> {
        self.iter()
    }
}

/// Reads a [`List`].
#[derive(Clone, Debug)]
pub struct ListIter<'a, T> {
    rest: &'a [u8],
    left: usize,
    item: std::marker::PhantomData<T>,
}

impl<'a, T: Item<'a>> Iterator for ListIter<'a, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.left = self.left.checked_sub(1)?;
        let (rest, item) = T::read(self.rest)?;
        self.rest = rest;
        Some(item)
    }
}
