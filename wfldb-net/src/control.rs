//! Floods of HTTP/2 control frames, counted before the HTTP library acts on them.
//!
//! The library answers every PING and SETTINGS and forgets it; each costs us more than it costs the sender. Not
//! here: what the library counts itself (resets before a stream is taken, CONTINUATION, empty DATA).

/// Most control frames of one connection in one window.
pub const CONTROL_FRAMES_MAX: u32 = 1000;
/// Length of the window, in milliseconds.
pub const WINDOW_MS: u64 = 10_000;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEAD_BYTES: usize = 9;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;

/// Follows the frames that a connection's peer sends. Keeps nine bytes, whatever arrives.
///
/// `WINDOW_UPDATE` is not counted: a fast download with small windows sends many, and they cost nothing.
#[derive(Debug, Default)]
pub struct ControlGuard {
    preface_bytes: usize,
    is_http1: bool,
    head: [u8; HEAD_BYTES],
    head_bytes: usize,
    payload_left: usize,
    counted: u32,
    window_began_ms: u64,
}

/// The peer sends too many control frames: the connection has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many control frames")]
pub struct ControlFlood;

impl ControlGuard {
    /// Starts before the first byte of a connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next received bytes at a time in milliseconds that never goes back, from any origin.
    ///
    /// # Errors
    /// [`ControlFlood`] when a window has more control frames than are allowed.
    pub fn observe(&mut self, mut bytes: &[u8], now_ms: u64) -> Result<(), ControlFlood> {
        while !bytes.is_empty() && !self.is_http1 {
            bytes = if self.preface_bytes < PREFACE.len() {
                self.preface(bytes)
            } else if self.payload_left > 0 {
                let (skipped, rest) = bytes.split_at(self.payload_left.min(bytes.len()));
                self.payload_left -= skipped.len();
                rest
            } else {
                self.head(bytes, now_ms)?
            };
        }
        Ok(())
    }

    fn preface<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let wanted = PREFACE.get(self.preface_bytes..).unwrap_or_default();
        let (here, rest) = bytes.split_at(wanted.len().min(bytes.len()));
        // Whatever does not begin so is HTTP/1.1, which has no frames.
        self.is_http1 = !wanted.starts_with(here);
        self.preface_bytes += here.len();
        rest
    }

    fn head<'a>(&mut self, bytes: &'a [u8], now_ms: u64) -> Result<&'a [u8], ControlFlood> {
        let (here, rest) = bytes.split_at((HEAD_BYTES - self.head_bytes).min(bytes.len()));
        for (slot, byte) in self.head.iter_mut().skip(self.head_bytes).zip(here) {
            *slot = *byte;
        }
        self.head_bytes += here.len();
        if self.head_bytes == HEAD_BYTES {
            self.head_bytes = 0;
            let [high, middle, low, kind, ..] = self.head;
            self.payload_left = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
            if matches!(kind, PRIORITY | RST_STREAM | SETTINGS | PING) {
                self.count(now_ms)?;
            }
        }
        Ok(rest)
    }

    fn count(&mut self, now_ms: u64) -> Result<(), ControlFlood> {
        if now_ms.saturating_sub(self.window_began_ms) >= WINDOW_MS {
            self.window_began_ms = now_ms;
            self.counted = 0;
        }
        self.counted += 1;
        if self.counted > CONTROL_FRAMES_MAX {
            Err(ControlFlood)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let [.., high, middle, low] = u64::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = vec![high, middle, low, kind, 0, 0, 0, 0, 1];
        frame.extend_from_slice(payload);
        frame
    }

    fn run(wire: &[u8], step: usize, now_ms: u64) -> Result<(), ControlFlood> {
        let mut guard = ControlGuard::new();
        wire.chunks(step).try_for_each(|part| guard.observe(part, now_ms))
    }

    #[test]
    fn a_flood_is_seen_however_the_bytes_are_cut_and_data_is_not_one() {
        // Payloads that look like control frames are payloads.
        let data = frame(0, &frame(PING, &[0; 8]).repeat(500));
        let mut quiet = [PREFACE.to_vec(), data.repeat(5)].concat();
        quiet.extend(frame(PING, &[0; 8]).repeat(1000));
        let mut flood = quiet.clone();
        flood.extend(frame(SETTINGS, &[]));
        for step in [1, 7, 9, 1000, 1 << 20] {
            assert_eq!(run(&quiet, step, 5), Ok(()), "cut every {step}");
            assert_eq!(run(&flood, step, 5), Err(ControlFlood), "cut every {step}");
        }
    }

    #[test]
    fn each_window_counts_anew() {
        let mut guard = ControlGuard::new();
        guard.observe(PREFACE, 0).unwrap();
        let pings = frame(PING, &[0; 8]).repeat(900);
        for window in 0..5 {
            assert_eq!(guard.observe(&pings, window * WINDOW_MS), Ok(()));
        }
        assert_eq!(guard.observe(&pings, 4 * WINDOW_MS + 1), Err(ControlFlood));
    }

    #[test]
    fn http1_has_no_frames() {
        let wire = [b"GET / HTTP/1.1\r\n\r\n".to_vec(), frame(PING, &[]).repeat(5000)].concat();
        assert_eq!(run(&wire, 3, 0), Ok(()));
    }
}
