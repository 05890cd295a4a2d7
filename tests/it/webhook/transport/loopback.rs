//! Servers on loopback that do what no well-behaved server does, by threads of the test itself.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// The beginning of an answer that goes on.
pub(super) const CHUNKED: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";

/// A server that remembers what came.
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
        Self::remembering(address, move |stream, head| {
            read_body(&stream, head);
            answer(stream, head);
        })
    }

    /// Leaves what comes after the head of a request to the function.
    pub(super) fn relaying(relay: impl Fn(TcpStream, &str) + Send + Sync + 'static) -> Self {
        Self::remembering("127.0.0.1:0", relay).unwrap()
    }

    fn remembering(
        address: &str,
        handle: impl Fn(TcpStream, &str) + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = Arc::clone(&heads);
        let address = listen(address, move |stream| {
            let place = {
                let mut heads = kept.lock().unwrap();
                heads.push(String::new());
                heads.len() - 1
            };
            let head = read_head(&stream);
            kept.lock().unwrap()[place].clone_from(&head);
            handle(stream, &head);
        })?;
        Ok(Self { address, heads })
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

/// Handles every connection by a function, in a thread of its own, until the test binary ends.
pub(super) fn listen(
    address: &str,
    handle: impl Fn(TcpStream) + Send + Sync + 'static,
) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(address)?;
    let address = listener.local_addr()?;
    let handle = Arc::new(handle);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let handle = Arc::clone(&handle);
            thread::spawn(move || handle(stream));
        }
    });
    Ok(address)
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

/// Reads a byte at a time, so that nothing of what follows is taken; the head, or what there was of it.
fn read_head(mut stream: &TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => bytes.push(byte[0]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn read_body(mut stream: &TcpStream, head: &str) {
    let length = header(head, "content-length").and_then(|text| text.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    // A client that dies has told all it will tell.
    let _ = stream.read_exact(&mut body);
}

/// The value of a header.
pub(super) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    let mut values = fields.filter(|(field, _)| field.eq_ignore_ascii_case(name));
    values.next().map(|(_, value)| value.trim())
}
