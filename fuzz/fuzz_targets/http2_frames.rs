//! The guard that counts HTTP/2 control frames. The first byte says how the rest, which follows the preface, is cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wfldb_net::control::{CONTROL_FRAMES_MAX, ControlGuard};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

fuzz_target!(|input: &[u8]| {
    let Some((cut, frames)) = input.split_first() else { return };
    let wire = [PREFACE, frames].concat();
    let run = |step: usize| {
        let mut guard = ControlGuard::new();
        wire.chunks(step).try_for_each(|part| guard.observe(part, 1))
    };
    let whole = run(wire.len());
    assert_eq!(whole, run(usize::from(*cut) + 1));
    assert_eq!(whole, run(1));
    // Counted by a reader of its own.
    let (mut rest, mut control) = (frames, 0);
    while let Some((head, tail)) = rest.split_first_chunk::<9>() {
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        control += u32::from(matches!(head[3], 2 | 3 | 4 | 6));
        rest = tail.get(length..).unwrap_or_default();
    }
    assert_eq!(whole.is_err(), control > CONTROL_FRAMES_MAX);
});
