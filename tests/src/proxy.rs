//! A wire between client and server that a test can stop and measure.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Debug)]
struct Shared {
    target: Mutex<String>,
    sent: AtomicU64,
    allowed: AtomicU64,
    /// Connections of an earlier one are cut.
    generation: AtomicU64,
}

/// Forwards connections. What the client sends is counted, and waits once an allowance is used up.
#[derive(Debug)]
pub struct Proxy {
    /// `host:port` to connect to; it stays the same while servers come and go behind it.
    pub listen: String,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Forwards to `target`, without a limit.
    #[must_use]
    pub fn start(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let listen = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Shared {
            target: Mutex::new(target.to_owned()),
            sent: AtomicU64::new(0),
            allowed: AtomicU64::new(u64::MAX),
            generation: AtomicU64::new(0),
        });
        let proxy = Arc::clone(&shared);
        // Ends with the process.
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let target = proxy.target.lock().unwrap().clone();
                if let Ok(server) = TcpStream::connect(target) {
                    forward(&proxy, client, server);
                }
            }
        });
        Self { listen, shared }
    }

    /// New connections go there.
    pub fn retarget(&self, target: &str) {
        target.clone_into(&mut self.shared.target.lock().unwrap());
    }

    /// Lets so many bytes more from clients to the server.
    pub fn allow(&self, bytes: u64) {
        let limit = self.sent().saturating_add(bytes);
        self.shared.allowed.store(limit, Ordering::Release);
    }

    /// Ends the connections that are open, with what they still hold, and lifts the limit.
    pub fn cut(&self) {
        self.shared.generation.fetch_add(1, Ordering::AcqRel);
        self.shared.allowed.store(u64::MAX, Ordering::Release);
    }

    /// Bytes that went from clients to the server.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::Acquire)
    }
}

fn forward(shared: &Arc<Shared>, client: TcpStream, server: TcpStream) {
    let ended = Arc::new(AtomicBool::new(false));
    let (mut from_server, mut to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    let over = Arc::clone(&ended);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from_server, &mut to_client);
        over.store(true, Ordering::Release);
        let _ = to_client.shutdown(Shutdown::Both);
    });
    let (shared, mut client, mut server) = (Arc::clone(shared), client, server);
    let generation = shared.generation.load(Ordering::Acquire);
    std::thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(read) = client.read(&mut buffer) {
            while shared.sent.load(Ordering::Acquire) >= shared.allowed.load(Ordering::Acquire)
                && !ended.load(Ordering::Acquire)
            {
                std::thread::park_timeout(Duration::from_millis(5));
            }
            if shared.generation.load(Ordering::Acquire) != generation {
                break;
            }
            let piece = buffer.get(..read).unwrap_or_default();
            if piece.is_empty() || server.write_all(piece).is_err() {
                break;
            }
            shared
                .sent
                .fetch_add(u64::try_from(read).unwrap_or(0), Ordering::AcqRel);
        }
        let _ = server.shutdown(Shutdown::Both);
    });
}
