//! Parting a text at another, by functions that stay functions: the library's search for texts, and for
//! each character where it is asked, is five thousand bytes of code.

/// What is before and behind the first place of `parting` in a text.
#[inline(never)]
pub(super) fn split_once<'t>(text: &'t str, parting: &str) -> Option<(&'t str, &'t str)> {
    let place = places(text, parting).position(|part| part == parting.as_bytes());
    part(text, place?, parting)
}

/// The same for the last.
#[inline(never)]
pub(super) fn rsplit_once<'t>(text: &'t str, parting: &str) -> Option<(&'t str, &'t str)> {
    let place = places(text, parting).rposition(|part| part == parting.as_bytes());
    part(text, place?, parting)
}

fn places<'t>(text: &'t str, parting: &str) -> std::slice::Windows<'t, u8> {
    text.as_bytes().windows(parting.len().max(1))
}

fn part<'t>(text: &'t str, place: usize, parting: &str) -> Option<(&'t str, &'t str)> {
    let (before, rest) = text.split_at_checked(place)?;
    Some((before, rest.get(parting.len()..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_parted_where_the_library_parts_it() {
        for text in ["", " in ", "a in b in c", "ä in ö", "ain b", "a in"] {
            assert_eq!(split_once(text, " in "), text.split_once(" in "), "{text}");
            assert_eq!(
                rsplit_once(text, " in "),
                text.rsplit_once(" in "),
                "{text}"
            );
            assert_eq!(rsplit_once(text, "n"), text.rsplit_once('n'), "{text}");
        }
    }
}
