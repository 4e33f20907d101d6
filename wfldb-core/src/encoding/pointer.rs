//! JSON pointers (RFC 6901): steps from the outside in, each behind a `/`.

/// Adds the step to the member `name`; answers the length to come back to.
pub(crate) fn push(pointer: &mut String, name: &str) -> usize {
    let back = pointer.len();
    pointer.push('/');
    for character in name.chars() {
        match character {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            character => pointer.push(character),
        }
    }
    back
}

/// The pointer with one more step.
pub(crate) fn inside(pointer: &str, name: &str) -> String {
    let mut inside = pointer.to_owned();
    push(&mut inside, name);
    inside
}
