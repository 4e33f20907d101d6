//! The one way in which a document is written for people: RFC 8785 with a line for each member.

/// The same JSON with two spaces for each level, a line for each member or element, and a line's end behind it. `text` is
/// canonical JSON ([`canonical`](crate::doc::canonical)), and the bytes are a function of it; of other text the bytes say
/// the same, but not in one spelling.
#[must_use]
pub fn pretty(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + text.len() / 4 + 16);
    let mut depth = 0_usize;
    let mut within = false;
    let mut escaped = false;
    let mut bytes = text.iter().copied().peekable();
    let line = |out: &mut Vec<u8>, depth: usize| {
        out.push(b'\n');
        out.extend(std::iter::repeat_n(b' ', 2 * depth));
    };
    while let Some(byte) = bytes.next() {
        if within {
            out.push(byte);
            within = escaped || byte != b'"';
            escaped = byte == b'\\' && !escaped;
            continue;
        }
        match byte {
            b'"' => {
                within = true;
                out.push(byte);
            }
            b'{' | b'[' => {
                out.push(byte);
                if let Some(end) = bytes.next_if(|next| matches!(next, b'}' | b']')) {
                    out.push(end);
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                line(&mut out, depth);
            }
            b':' => out.extend_from_slice(b": "),
            byte => out.push(byte),
        }
    }
    out.push(b'\n');
    out
}
