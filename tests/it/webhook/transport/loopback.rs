//! Servers on loopback that do what no well-behaved server does, by threads of the test itself.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// The beginning of an answer that goes on.
pub(super) const CHUNKED: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";

/// A server that handles every connection by one function, in a thread of its own; it ends with the test binary.
pub(super) struct Loopback {
    pub(super) address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Loopback {
    /// Answers every request, after it has been read, by what the function writes.
    pub(super) fn answering(answer: impl Fn(TcpStream, &str) + Send + Sync + 'static) -> Self {
        Self::at("127.0.0.1:0", answer).unwrap()
    }

    /// The same at an address, which this machine may not have.
    pub(super) fn at(
        address: &str,
        answer: impl Fn(TcpStream, &str) + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let server = Self { address: listener.local_addr()?, heads: Arc::default() };
        let (heads, answer) = (Arc::clone(&server.heads), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (heads, answer) = (Arc::clone(&heads), Arc::clone(&answer));
                thread::spawn(move || {
                    let place = {
                        let mut heads = heads.lock().unwrap();
                        heads.push(String::new());
                        heads.len() - 1
                    };
                    let head = read_request(&stream);
                    heads.lock().unwrap()[place].clone_from(&head);
                    answer(stream, &head);
                });
            }
        });
        Ok(server)
    }

    /// Takes every request, as MIT Learn does.
    pub(super) fn taking() -> Self {
        Self::answering(|stream, _head| respond(stream, "200 OK", "", "{\"status\":\"success\"}"))
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The head of what came by each connection so far, empty where nothing came yet.
    pub(super) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

/// Writes a whole answer and closes.
pub(super) fn respond(mut stream: TcpStream, status: &str, headers: &str, body: &str) {
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         {headers}connection: close\r\n\r\n{body}"
    );
    // The client may have seen enough and gone.
    let _ = stream.write_all(answer.as_bytes());
}

/// Passes bytes on in both directions until both sides have ended.
pub(super) fn join(one: &TcpStream, other: &TcpStream) {
    thread::scope(|scope| {
        for (mut from, mut to) in [(one, other), (other, one)] {
            scope.spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Write);
            });
        }
    });
}

/// Reads a request to the end of its body; its head, or what there was of it.
fn read_request(mut stream: &TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => bytes.push(byte[0]),
            _ => break,
        }
    }
    let head = String::from_utf8_lossy(&bytes).into_owned();
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    let _ = stream.read_exact(&mut body);
    head
}
