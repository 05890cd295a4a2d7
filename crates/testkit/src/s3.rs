//! An S3 server of one's own, that can be told to fail.
//!
//! It is `s3s` with `s3s-fs`: on crates.io, maintained, and in this process, so that a test needs no container; it checks
//! SigV4 signatures as AWS does, refuses overwrites by `If-None-Match`, pages its listings, takes uploads in parts and
//! deletes by list. Two things it says in other words than AWS, and this server puts right: that a bucket, and that an
//! upload, does not exist. It knows nothing of KMS, rights and regions: a test that is about those has their answers
//! given by [`S3Server::fail`].

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};

/// What the server does to requests that are meant.
#[derive(Debug, Clone)]
pub struct S3Fault {
    /// The method that is meant, such as `PUT`.
    pub method: &'static str,
    /// What path and query of the request hold, such as `.parquet` or `uploadId=`.
    pub holds: String,
    /// So many of them pass before.
    pub after: usize,
    /// So many of them fail.
    pub times: usize,
    /// What happens to those.
    pub then: S3Then,
}

impl S3Fault {
    /// The first such request.
    pub fn first(method: &'static str, holds: &str, then: S3Then) -> Self {
        Self { method, holds: holds.to_owned(), after: 0, times: 1, then }
    }

    /// Every such request.
    pub fn each(method: &'static str, holds: &str, then: S3Then) -> Self {
        Self { times: usize::MAX, ..Self::first(method, holds, then) }
    }
}

/// What happens to a request.
#[derive(Debug, Clone)]
pub enum S3Then {
    /// It is answered like this and not carried out.
    Answer {
        /// The status.
        status: u16,
        /// The code in the body, such as `SlowDown`.
        code: &'static str,
        /// More elements of the body, as XML.
        more: &'static str,
    },
    /// It is not carried out, and the connection ends without an answer.
    Cut,
    /// It is carried out, and the connection ends without an answer.
    DropAnswer,
    /// It is carried out this much later.
    Delay(Duration),
}

impl S3Then {
    /// An error with a code alone.
    pub fn answer(status: u16, code: &'static str) -> Self {
        Self::Answer { status, code, more: "<Message>as the test wants it</Message>" }
    }
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct S3Request {
    /// The method.
    pub method: String,
    /// Path and query, encoded.
    pub target: String,
    /// The headers.
    pub headers: HeaderMap,
}

impl S3Request {
    /// A header's value, or nothing.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// A server on a port of its own; it stops when dropped.
#[derive(Debug)]
pub struct S3Server {
    address: SocketAddr,
    folder: PathBuf,
    /// Where the folder is its own, too.
    _temporary: Option<tempfile::TempDir>,
    state: Arc<State>,
    runtime: Option<tokio::runtime::Runtime>,
}

#[derive(Debug, Default)]
struct State {
    faults: Mutex<Vec<S3Fault>>,
    requests: Mutex<Vec<S3Request>>,
    met: AtomicUsize,
}

impl State {
    fn faults(&self) -> MutexGuard<'_, Vec<S3Fault>> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn requests(&self) -> MutexGuard<'_, Vec<S3Request>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What happens to this request, by the first fault that means it.
    fn fault_of(&self, request: &S3Request) -> Option<S3Then> {
        self.faults().iter_mut().find_map(|fault| {
            if fault.method != request.method || !request.target.contains(&fault.holds) {
                return None;
            }
            if let Some(after) = fault.after.checked_sub(1) {
                fault.after = after;
                return None;
            }
            fault.times = fault.times.checked_sub(1)?;
            self.met.fetch_add(1, Ordering::SeqCst);
            Some(fault.then.clone())
        })
    }
}

impl S3Server {
    /// The access key that the server knows.
    pub const ACCESS_KEY_ID: &'static str = "TESTACCESSKEY";
    /// Its secret.
    pub const SECRET_ACCESS_KEY: &'static str = "hunter2/secret+key";
    /// The bucket that is there from the start.
    pub const BUCKET: &'static str = "lake";

    /// A server with one empty bucket.
    pub fn start() -> Self {
        let temporary = tempfile::Builder::new()
            .prefix("ol-s3-")
            .tempdir()
            .expect("a temporary folder can be made");
        let mut server = Self::start_in(temporary.path());
        server.create_bucket(Self::BUCKET);
        server._temporary = Some(temporary);
        server
    }

    /// A server of the buckets in a folder, which stays when it stops.
    pub fn start_in(folder: &Path) -> Self {
        let folder = folder.to_owned();
        let files = s3s_fs::FileSystem::new(&folder).expect("the folder is there");
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(Self::ACCESS_KEY_ID, Self::SECRET_ACCESS_KEY));
        let front =
            Front { service: builder.build(), state: Arc::default(), folder: folder.clone() };
        let state = Arc::clone(&front.state);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("s3-server")
            .enable_all()
            .build()
            .expect("a runtime can be made");
        // Bound without the runtime: the caller may be inside another one.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
        listener.set_nonblocking(true).expect("a socket can be told so");
        let address = listener.local_addr().expect("a bound socket has an address");
        runtime.spawn(accept(listener, front));
        Self { address, folder, _temporary: None, state, runtime: Some(runtime) }
    }

    /// Makes another bucket.
    pub fn create_bucket(&self, name: &str) {
        std::fs::create_dir(self.folder.join(name)).expect("the bucket is new");
    }

    /// Address of the server, as in `AWS_ENDPOINT_URL_S3`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What a process needs to be a client of this server.
    pub fn variables(&self) -> [(&'static str, String); 4] {
        [
            ("AWS_ENDPOINT_URL_S3", self.endpoint()),
            ("AWS_ACCESS_KEY_ID", Self::ACCESS_KEY_ID.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", Self::SECRET_ACCESS_KEY.to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
        ]
    }

    /// Adds a fault; it holds until it has happened as often as it says, or [`S3Server::heal`].
    pub fn fail(&self, fault: S3Fault) {
        self.state.faults().push(fault);
    }

    /// Takes all faults away.
    pub fn heal(&self) {
        self.state.faults().clear();
    }

    /// How often a fault has happened.
    pub fn faults_met(&self) -> usize {
        self.state.met.load(Ordering::SeqCst)
    }

    /// The requests since the last call.
    pub fn take_requests(&self) -> Vec<S3Request> {
        std::mem::take(&mut *self.state.requests())
    }

    /// The folder of a bucket: a key is a path in it, and an object a file.
    pub fn bucket_folder(&self, bucket: &str) -> PathBuf {
        self.folder.join(bucket)
    }

    /// Parts of uploads that were neither completed nor aborted.
    pub fn unfinished_parts(&self) -> usize {
        let entries = std::fs::read_dir(&self.folder).expect("the server's folder is there");
        let is_part = |name: &str| name.starts_with(".upload_id-");
        entries
            .map(|entry| entry.expect("the folder can be read").file_name())
            .filter(|name| is_part(&name.to_string_lossy()))
            .count()
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn accept(listener: std::net::TcpListener, front: Front) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("the runtime takes sockets");
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((socket, _peer)) = listener.accept().await {
        let front = front.clone();
        connections.spawn(async move {
            let service = service_fn(move |request| front.clone().serve(request));
            let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            // A client that goes away is no failure of the server, and neither is a cut that a test asked for.
            drop(builder.serve_connection(TokioIo::new(socket), service).await);
        });
    }
}

/// Stands before the server.
#[derive(Clone)]
struct Front {
    service: S3Service,
    state: Arc<State>,
    folder: PathBuf,
}

type Answer = Response<s3s::Body>;

impl Front {
    async fn serve(self, request: http::Request<Incoming>) -> Result<Answer, std::io::Error> {
        let seen = S3Request {
            method: request.method().to_string(),
            target: request.uri().to_string(),
            headers: request.headers().clone(),
        };
        self.state.requests().push(seen.clone());
        let cut = || std::io::Error::other("the test cuts the connection");
        match self.state.fault_of(&seen) {
            None => self.carry_out(&seen, request).await,
            Some(S3Then::Answer { status, code, more }) => {
                // An answer before the body was read would break the connection under the client.
                read_to_end(request.into_body()).await;
                Ok(refusal(&seen.method, status, code, more))
            }
            Some(S3Then::Cut) => Err(cut()),
            Some(S3Then::DropAnswer) => {
                let answer = self.carry_out(&seen, request).await?;
                assert!(answer.status().is_success(), "an answer that is dropped was a good one");
                Err(cut())
            }
            Some(S3Then::Delay(delay)) => {
                wait(delay).await;
                self.carry_out(&seen, request).await
            }
        }
    }

    async fn carry_out(
        &self,
        seen: &S3Request,
        request: http::Request<Incoming>,
    ) -> Result<Answer, std::io::Error> {
        let missing = self.missing(seen);
        if let Some(code) = missing {
            read_to_end(request.into_body()).await;
            return Ok(refusal(&seen.method, 404, code, ""));
        }
        let answer = self.service.call(request.map(s3s::Body::from)).await;
        answer.map_err(|error| std::io::Error::other(format!("{error:?}")))
    }

    /// The code for a bucket or an upload that does not exist.
    fn missing(&self, seen: &S3Request) -> Option<&'static str> {
        let (path, query) = seen.target.split_once('?').unwrap_or((&seen.target, ""));
        let bucket = path.split('/').find(|part| !part.is_empty())?;
        if !Path::new(&self.folder).join(bucket).is_dir() {
            return Some("NoSuchBucket");
        }
        let upload = query.split('&').find_map(|pair| pair.strip_prefix("uploadId="))?;
        let is_there = self.folder.join(format!(".upload-{upload}.json")).exists();
        (!is_there).then_some("NoSuchUpload")
    }
}

#[expect(clippy::disallowed_methods, reason = "a delay of a server is real time")]
async fn wait(delay: Duration) {
    tokio::time::sleep(delay).await;
}

async fn read_to_end(mut body: Incoming) {
    use hyper::body::Body;
    let mut body = std::pin::Pin::new(&mut body);
    // What is wrong with a body that is thrown away does not matter.
    while let Some(Ok(_frame)) =
        std::future::poll_fn(|context| body.as_mut().poll_frame(context)).await
    {}
}

fn refusal(method: &str, status: u16, code: &str, more: &str) -> Answer {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code>{more}</Error>"
    );
    // An answer to HEAD has no body, on AWS as anywhere.
    let body = if method == "HEAD" { Bytes::new() } else { Bytes::from(body) };
    let status = StatusCode::from_u16(status).expect("a status of HTTP");
    Response::builder()
        .status(status)
        .header("content-type", "application/xml")
        .body(s3s::Body::from(body))
        .expect("a status and a body are an answer")
}
