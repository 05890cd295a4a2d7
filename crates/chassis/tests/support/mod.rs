//! An HTTP/1.1 server on a port of its own: what it answers is a closure, what it was asked is
//! kept.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What the server was asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// `GET /v1/secret/app`
    pub(crate) line: String,
    /// Header lines in lower case.
    pub(crate) headers: Vec<String>,
    /// The body's bytes.
    pub(crate) body: Vec<u8>,
}

impl Asked {
    /// A header's value in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// A running server.
pub(crate) struct HttpServer {
    /// `http://127.0.0.1:PORT`
    pub(crate) address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl HttpServer {
    /// Answers each request with the status and body that `answer` gives.
    pub(crate) fn start(answer: impl Fn(&Asked) -> (u16, String) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("bound"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let answer = Arc::new(answer);
        let log = Arc::clone(&asked);
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (answer, log) = (Arc::clone(&answer), Arc::clone(&log));
                std::thread::spawn(move || serve(connection, &*answer, &log));
            }
        });
        Self { address, asked }
    }

    /// Everything asked so far, in order.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no holder panics").clone()
    }

    /// How often a request line was asked.
    pub(crate) fn count(&self, line: &str) -> usize {
        self.asked().iter().filter(|asked| asked.line == line).count()
    }
}

fn serve(
    connection: TcpStream,
    answer: &(impl Fn(&Asked) -> (u16, String) + ?Sized),
    log: &Mutex<Vec<Asked>>,
) {
    let mut writer = connection.try_clone().expect("a second handle");
    let mut reader = BufReader::new(connection);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let mut headers = Vec::new();
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).expect("a header");
            let header = header.trim();
            if header.is_empty() {
                break;
            }
            headers.push(header.to_ascii_lowercase());
        }
        let line = line.trim().trim_end_matches(" HTTP/1.1").to_owned();
        let mut asked = Asked { line, headers, body: Vec::new() };
        let length = asked.header("content-length").and_then(|text| text.parse().ok());
        asked.body.resize(length.unwrap_or(0), 0);
        reader.read_exact(&mut asked.body).expect("the whole body");
        let (status, body) = answer(&asked);
        log.lock().expect("no holder panics").push(asked);
        let length = body.len();
        let reply = format!(
            "HTTP/1.1 {status} Answer\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        if writer.write_all(reply.as_bytes()).is_err() {
            return;
        }
    }
}
