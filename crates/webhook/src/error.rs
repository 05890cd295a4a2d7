//! Every way to fail, and whose turn it is.
//!
//! The lists hold both what ends a command (a locked outbox) and what an attempt came to (a secret
//! that the receiver does not know): the attempt log, the dead letters, the exit code and the
//! runbooks all speak of the same kinds. [`crate::policy`] says of each what follows; a new kind does
//! not compile until that is decided.
//!
//! Facts are names, routes, counts and rules, never a value of a payload and never a secret.

pub use ol_chassis::error::Cause;

/// What a failing operation of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

ol_chassis::failure_of! {
    /// A failure, and whose turn it is.
    Failure {
        /// A fact that no retry changes.
        Definite,
        /// Weather: the same thing, later, can succeed.
        Transient,
    }
}

ol_chassis::kinds! {
    /// The facts that no retry changes.
    Definite {
        /// A flag, variable or settings file cannot be obeyed.
        Configuration = "The settings cannot be used",
        /// No variable says where the receiver is, or with which secret to sign. Context: `variable`.
        TargetUnknown = "It is not known where to send, or how to sign",
        /// A file or a secret that the settings name cannot be had.
        SettingRefused = "A file or secret that the settings name cannot be had",
        /// The input is not JSON lines, or a line is no object. Context: `line`.
        InputInvalid = "The input cannot be read",
        /// Payloads break the receiver's rules. Context: `refused`.
        PayloadInvalid = "The receiver would refuse the payload",
        /// The kind of payload is switched off, with the reason. Context: `kind`.
        KindOff = "This kind of payload is switched off",
        /// Too many things would be deleted at once. Context: `vanished`, `known`.
        VanishGuarded = "Too much has vanished from the source at once",
        /// No message of this id, or none that the filter selects.
        MessageMissing = "There is no such message",
        /// The body is not the golden one. Context: `offset_bytes`.
        GoldenDiffers = "The body differs from the golden one",
        /// A captured request is not believed.
        SignatureInvalid = "The signature does not hold",
        /// The lake's table or the query cannot be read.
        LakeUnreadable = "The lake cannot be read",

        /// The address is not one that we may call.
        EgressRefused = "Our own rules forbid the address",
        /// The receiver's certificate is not trusted, or it does not take ours.
        TlsUntrusted = "The receiver's certificate is not trusted",
        /// The receiver knows none of our secrets.
        SecretWrong = "The secret is wrong",
        /// The receiver has no such route.
        RouteMissing = "The route is missing",
        /// Something before the receiver refuses us: a gateway, an allow-list.
        Forbidden = "We are refused before the receiver is reached",
        /// The receiver points elsewhere; it is not followed.
        Redirected = "The receiver points to another address",

        /// The receiver refused what the payload says. Context: `fields`, where it names any.
        PayloadRefused = "The receiver refused the payload",
        /// The body is larger than the receiver takes. Context: `body_bytes`.
        PayloadTooLarge = "The body is larger than the receiver takes",
        /// The receiver refused the request in a way no other kind names. Context: `status`.
        RequestRefused = "The receiver refused the request",
        /// All attempts failed, or the time for them is over. Context: `attempts`.
        GivenUp = "The message was given up",
        /// A part of its batch is dead, so the end of the batch is not announced.
        BatchIncomplete = "A part of the batch was not delivered",

        /// The outbox is read-only for us.
        OutboxUnwritable = "The outbox cannot be written",
        /// The disk of the outbox is full.
        DiskFull = "The disk is full",
        /// The database holds something else, or an outbox of a newer version.
        OutboxForeign = "The database is not an outbox that this version knows",
        /// The outbox's database refuses the login or the statement.
        OutboxRefused = "The outbox's database refused us",

        /// Something this program holds to be impossible.
        Defect = "This should not be possible",
    }
}

ol_chassis::kinds! {
    /// The weather.
    Transient {
        /// The receiver's name has no address.
        HostUnknown = "The name of the receiver's host has no address",
        /// Nobody answers at the receiver's address.
        HostUnreachable = "The receiver cannot be reached",
        /// The connection broke before there was an answer.
        ConnectionLost = "The connection to the receiver broke",
        /// The receiver did not answer in time.
        TimedOut = "The receiver did not answer in time",
        /// The receiver asks for fewer requests (429).
        Throttled = "The receiver asks for fewer requests",
        /// The receiver was not ready for the request (408, 425).
        ReceiverNotReady = "The receiver was not ready",
        /// The receiver failed on its side (5xx).
        ReceiverFailing = "The receiver fails",
        /// The receiver refused, and did not hold still long enough to find out why.
        TriageInterrupted = "The receiver refused, and could not be asked why",
        /// The worker that had the message ended without saying what became of it.
        WorkerLost = "The worker ended in the middle of the attempt",

        /// Another process holds the outbox.
        OutboxLocked = "The outbox is locked by another process",
        /// The outbox's database cannot be reached.
        OutboxUnreachable = "The outbox cannot be reached",
        /// A secret store does not answer.
        SecretStoreUnreachable = "The secret store cannot be reached",
        /// The lake's catalog does not answer.
        LakeUnreachable = "The lake cannot be reached",
        /// The run was asked to stop.
        Stopped = "The run was asked to stop",
    }
}

impl Failure {
    /// The kind of this name.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::all().find(|failure| failure.word() == word)
    }
}

ol_chassis::error_of! {
    /// A failure with its facts and its cause.
    Error(Failure)
}

impl From<ol_chassis::Error> for Error {
    fn from(error: ol_chassis::Error) -> Self {
        let failure: Failure = match error.kind() {
            ol_chassis::ErrorKind::Configuration => Definite::Configuration.into(),
            ol_chassis::ErrorKind::Definite => Definite::SettingRefused.into(),
            ol_chassis::ErrorKind::Transient => Transient::SecretStoreUnreachable.into(),
        };
        Self::of_ground(failure, error)
    }
}
