//! The loopback device: bytes through a TCP connection, and one byte back when all have arrived.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use super::Limit;
use crate::Failure;
use crate::measure::Measured;

/// How much is sent or received at once.
const PIECE_BYTES: u64 = 256 << 10;

/// A connection for each client; both ends are in this process.
pub(crate) fn copied(limit: &Limit) -> Result<Measured, Failure> {
    let size = limit.size;
    let piece_bytes = usize::try_from(size.min(PIECE_BYTES))?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    limit.run(|_| {
        let mut sender = TcpStream::connect(address)?;
        let (receiver, _) = listener.accept()?;
        sender.set_nodelay(true)?;
        receiver.set_nodelay(true)?;
        // It ends when the sender closes the connection.
        std::thread::spawn(move || receive(receiver, piece_bytes, size));
        let piece = vec![b'x'; piece_bytes];
        Ok(move |_| {
            let mut left = size;
            while left > 0 {
                let len = usize::try_from(left)?.min(piece.len());
                sender.write_all(piece.get(..len).unwrap_or_default())?;
                left -= len as u64;
            }
            Ok(sender.read_exact(&mut [0])?)
        })
    })
}

fn receive(mut stream: TcpStream, piece_bytes: usize, size: u64) -> std::io::Result<()> {
    let mut buffer = vec![0; piece_bytes];
    loop {
        let mut left = size;
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let len = stream.read(buffer.get_mut(..wanted).unwrap_or_default())?;
            if len == 0 {
                return Ok(());
            }
            left -= len as u64;
        }
        stream.write_all(&[1])?;
    }
}
