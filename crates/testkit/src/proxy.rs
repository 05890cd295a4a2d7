//! A TCP proxy on the loopback with faults: what a network does to a connection, when a test says so.
//!
//! It stands in front of one port and copies bytes both ways. A fault holds for every connection from the moment it is
//! set, also for those that are open. [`Fault::DropAnswer`] is the one that a protocol of commits has to survive: the
//! request arrives and is carried out, the answer never comes back.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How often a direction that has nothing to copy looks whether the proxy ended.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long the answer to a request is waited for before the connection is cut.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// What happens to the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: they are copied.
    None,
    /// Each piece, of either direction, comes later by this much.
    Latency(Duration),
    /// The server's answers come one byte at a time.
    Slices,
    /// A connection is reset after this many bytes of the server's.
    CutAfter(u64),
    /// New connections are accepted and nothing is ever answered; open ones fall silent.
    HalfOpen,
    /// Once the client has sent a piece that holds these bytes, the piece is forwarded, the server's answer is awaited and
    /// thrown away, and the connection is reset. Happens once; then the fault is [`Fault::None`].
    DropAnswer(Vec<u8>),
    /// As [`Fault::DropAnswer`], but the piece is not forwarded: the request never arrived.
    DropRequest(Vec<u8>),
    /// The request with a piece that holds these bytes is answered by the proxy, and the connection ends with that. Happens
    /// once; then the fault is [`Fault::None`].
    Answer {
        /// What the piece holds.
        mark: Vec<u8>,
        /// The answer, all bytes of it.
        answer: Vec<u8>,
        /// Whether the server carries the request out before.
        is_carried_out: bool,
    },
}

impl Fault {
    /// An answer of HTTP with this status and a JSON body.
    pub fn status(mark: &[u8], status: u16, body: &str, is_carried_out: bool) -> Self {
        let answer = format!(
            "HTTP/1.1 {status} As the test wants it\r\ncontent-type: application/json\r\nconnection: close\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        Self::Answer { mark: mark.to_vec(), answer: answer.into_bytes(), is_carried_out }
    }
}

/// A proxy in front of one port of 127.0.0.1; it ends, with all connections, when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    target: u16,
    fault: Mutex<Fault>,
    ended: AtomicBool,
    /// Raised by [`Proxy::cut`]: connections of an older generation are reset.
    generation: AtomicU64,
    connections: AtomicU64,
    dropped: AtomicU64,
}

impl Proxy {
    /// A proxy in front of a port, without a fault.
    pub fn before(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let shared = Arc::new(Shared {
            target,
            fault: Mutex::new(Fault::None),
            ended: AtomicBool::new(false),
            generation: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        });
        let of_thread = Arc::clone(&shared);
        let listener = thread::spawn(move || of_thread.accept(&listener));
        Self { port, shared, listener: Some(listener) }
    }

    /// The port that clients connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Sets the fault of all connections.
    pub fn set(&self, fault: Fault) {
        *self.shared.fault() = fault;
    }

    /// Resets every open connection; later ones are served.
    pub fn cut(&self) {
        self.shared.generation.fetch_add(1, Ordering::SeqCst);
    }

    /// Connections accepted so far.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Answers and requests thrown away so far.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        // The listener stands in accept(): a connection wakes it.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

impl Shared {
    fn fault(&self) -> std::sync::MutexGuard<'_, Fault> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        for client in listener.incoming() {
            if self.ended.load(Ordering::SeqCst) {
                return;
            }
            let Ok(client) = client else { continue };
            self.connections.fetch_add(1, Ordering::SeqCst);
            let shared = Arc::clone(self);
            thread::spawn(move || shared.serve(client));
        }
    }

    /// Copies both ways until one side ends; a server that cannot be reached looks like one that closes at once.
    fn serve(self: Arc<Self>, client: TcpStream) {
        let Ok(server) = TcpStream::connect(("127.0.0.1", self.target)) else { return };
        let generation = self.generation.load(Ordering::SeqCst);
        for stream in [&client, &server] {
            // A socket that is already closed is noticed when it is read.
            let _ = stream.set_nodelay(true);
            let _ = stream.set_read_timeout(Some(LOOK_EVERY));
        }
        let link = Arc::new(Link {
            shared: self,
            generation,
            client,
            server,
            over: AtomicBool::new(false),
            awaited: AtomicBool::new(false),
            instead: Mutex::new(None),
        });
        let upward = Arc::clone(&link);
        let requests = thread::spawn(move || upward.copy_requests());
        link.copy_answers();
        let _ = requests.join();
    }
}

/// One connection of a client and its counterpart at the server.
struct Link {
    shared: Arc<Shared>,
    generation: u64,
    client: TcpStream,
    server: TcpStream,
    over: AtomicBool,
    /// The next answer is thrown away, and the connection ends with it.
    awaited: AtomicBool,
    /// What the client gets instead of it.
    instead: Mutex<Option<Vec<u8>>>,
}

impl Link {
    fn goes_on(&self) -> bool {
        !self.over.load(Ordering::SeqCst)
            && !self.shared.ended.load(Ordering::SeqCst)
            && self.shared.generation.load(Ordering::SeqCst) == self.generation
    }

    fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
        let _ = self.client.shutdown(Shutdown::Both);
        let _ = self.server.shutdown(Shutdown::Both);
    }

    /// The next piece of a side; `None` when the connection is over.
    fn piece<'a>(&self, from: &TcpStream, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
        let mut from = from;
        while self.goes_on() {
            match from.read(buffer) {
                Ok(0) => return None,
                Ok(count) => return buffer.get(..count),
                Err(error)
                    if matches!(
                        error.kind(),
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                    ) => {}
                Err(_) => return None,
            }
        }
        None
    }

    fn copy_requests(&self) {
        let mut buffer = vec![0; 65_536];
        while let Some(piece) = self.piece(&self.client, &mut buffer) {
            let fault = self.shared.fault().clone();
            match fault {
                Fault::HalfOpen => continue,
                Fault::Latency(delay) => thread::sleep(delay),
                Fault::DropRequest(bytes) if holds(piece, &bytes) => {
                    self.happened();
                    break;
                }
                Fault::DropAnswer(bytes) if holds(piece, &bytes) => {
                    self.awaited.store(true, Ordering::SeqCst);
                    self.happened();
                    if (&self.server).write_all(piece).is_ok() {
                        self.await_end();
                    }
                    break;
                }
                Fault::Answer { mark, answer, is_carried_out } if holds(piece, &mark) => {
                    self.happened();
                    if is_carried_out {
                        *self.instead.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
                        self.awaited.store(true, Ordering::SeqCst);
                        if (&self.server).write_all(piece).is_ok() {
                            self.await_end();
                        }
                    } else {
                        self.say(&answer);
                    }
                    break;
                }
                Fault::None
                | Fault::Slices
                | Fault::CutAfter(_)
                | Fault::DropAnswer(_)
                | Fault::DropRequest(_)
                | Fault::Answer { .. } => {}
            }
            if (&self.server).write_all(piece).is_err() {
                break;
            }
        }
        self.end();
    }

    /// The other direction ends the connection when the answer has come.
    fn await_end(&self) {
        let started = std::time::Instant::now();
        while self.goes_on() && started.elapsed() < ANSWER_WITHIN {
            thread::sleep(LOOK_EVERY);
        }
    }

    /// Gives the client an answer and the time to read it: what it has sent meanwhile would reset the connection.
    fn say(&self, answer: &[u8]) {
        if (&self.client).write_all(answer).is_ok() {
            thread::sleep(LOOK_EVERY * 5);
        }
    }

    fn happened(&self) {
        *self.shared.fault() = Fault::None;
        self.shared.dropped.fetch_add(1, Ordering::SeqCst);
    }

    fn copy_answers(&self) {
        let mut buffer = vec![0; 65_536];
        let mut sent = 0;
        while let Some(piece) = self.piece(&self.server, &mut buffer) {
            if self.awaited.load(Ordering::SeqCst) {
                let instead = self.instead.lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some(answer) = instead {
                    self.say(&answer);
                }
                break;
            }
            let fault = self.shared.fault().clone();
            let mut client = &self.client;
            let written = match fault {
                Fault::HalfOpen => continue,
                Fault::Latency(delay) => {
                    thread::sleep(delay);
                    client.write_all(piece)
                }
                Fault::Slices => piece.iter().try_for_each(|byte| client.write_all(&[*byte])),
                Fault::CutAfter(limit) => {
                    let left = usize::try_from(limit.saturating_sub(sent)).unwrap_or(usize::MAX);
                    let (before, after) = piece.split_at(left.min(piece.len()));
                    let written = client.write_all(before);
                    if !after.is_empty() {
                        self.shared.dropped.fetch_add(1, Ordering::SeqCst);
                        break;
                    }
                    written
                }
                Fault::None
                | Fault::DropAnswer(_)
                | Fault::DropRequest(_)
                | Fault::Answer { .. } => client.write_all(piece),
            };
            if written.is_err() {
                break;
            }
            sent += piece.len() as u64;
        }
        self.end();
    }
}

fn holds(piece: &[u8], wanted: &[u8]) -> bool {
    piece.windows(wanted.len()).any(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::PostgresServer;
    use crate::session::Session;

    #[test]
    fn each_fault_does_what_it_says() {
        let server = PostgresServer::start();
        let database = server.create_database("proxy");
        database.psql("CREATE TABLE t (n int)");
        let proxy = Proxy::before(server.port());
        let open = || Session::open(&server.psql_program(), &database.url_through(proxy.port()));
        let rows = || database.psql("SELECT count(*) FROM t");

        let mut session = open();
        assert_eq!(session.value("SELECT 1").expect("no fault"), "1");
        for fault in [Fault::Latency(Duration::from_millis(20)), Fault::Slices] {
            proxy.set(fault);
            assert_eq!(session.value("SELECT repeat('x', 5000)").expect("only slow").len(), 5000);
        }

        // The answer is lost, the row is there.
        proxy.set(Fault::DropAnswer(b"INSERT INTO t VALUES (1)".to_vec()));
        session.run("INSERT INTO t VALUES (1)").expect_err("the answer is lost");
        assert_eq!((rows().as_str(), proxy.dropped()), ("1", 1));

        // The request is lost, and with it the row.
        let mut session = open();
        proxy.set(Fault::DropRequest(b"INSERT INTO t VALUES (2)".to_vec()));
        session.run("INSERT INTO t VALUES (2)").expect_err("the request is lost");
        assert_eq!((rows().as_str(), proxy.dropped()), ("1", 2));

        let mut session = open();
        session.value("SELECT 1").expect("no fault");
        proxy.set(Fault::CutAfter(2_000));
        session.run("SELECT repeat('x', 5000)").expect_err("cut in the middle");
        assert_eq!(proxy.dropped(), 3);

        proxy.set(Fault::None);
        let mut session = open();
        session.value("SELECT 1").expect("no fault");
        proxy.cut();
        session.run("SELECT 1").expect_err("the connection is cut");

        // Accepted and never answered: only a time limit of the client's ends it.
        proxy.set(Fault::HalfOpen);
        let url = format!("{}?connect_timeout=2", database.url_through(proxy.port()));
        let told = Session::open(&server.psql_program(), &url).run("SELECT 1");
        assert!(told.expect_err("silence").told.contains("timeout expired"));
        assert_eq!(rows(), "1");
    }
}
