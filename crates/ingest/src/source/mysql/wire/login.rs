//! The start of a connection: what the server says of itself, encryption, and proving who we are.
//!
//! A password is sent as a proof that depends on the server's salt (`mysql_native_password`, and `caching_sha2_password`
//! once the server has it in its cache). Where the login wants the password itself, it is sent only over an encrypted
//! connection or a socket of this machine.
//!
//! Source: "Connection Phase", "Authentication Methods".

use std::os::unix::net::UnixStream;

use ol_chassis::secret::SecretText;
use ol_chassis::shutdown::Shutdown;
use rustls::StreamOwned;

use super::super::error::SourceError;
use super::super::settings::Settings;
use super::packet::{self, Cursor, put_counted};
use super::{Connection, END, ERROR, OK};
use crate::source::address::{Address, TlsMode};
use crate::source::socket::{ConnectError, Socket, Stream, connect_tcp};
use crate::source::tls;

/// What we can do, and the server must be able to ("Capabilities Flags").
///
/// The first says to MariaDB, too, that we are a client of MySQL's protocol, without its own additions.
const LONG_PASSWORD: u32 = 1;
const LONG_FLAG: u32 = 1 << 2;
const CONNECT_WITH_DB: u32 = 1 << 3;
const PROTOCOL_41: u32 = 1 << 9;
const SSL: u32 = 1 << 11;
const TRANSACTIONS: u32 = 1 << 13;
const SECURE_CONNECTION: u32 = 1 << 15;
const PLUGIN_AUTH: u32 = 1 << 19;
const CONNECT_ATTRIBUTES: u32 = 1 << 20;
const PLUGIN_AUTH_COUNTED: u32 = 1 << 21;
const DEPRECATE_EOF: u32 = 1 << 24;
const OURS: u32 = LONG_PASSWORD
    | LONG_FLAG
    | CONNECT_WITH_DB
    | PROTOCOL_41
    | TRANSACTIONS
    | SECURE_CONNECTION
    | PLUGIN_AUTH
    | CONNECT_ATTRIBUTES
    | PLUGIN_AUTH_COUNTED
    | DEPRECATE_EOF;
/// What every supported version can do.
const NEEDED: u32 =
    PROTOCOL_41 | SECURE_CONNECTION | PLUGIN_AUTH | PLUGIN_AUTH_COUNTED | DEPRECATE_EOF;

/// The longest packet that we take: the protocol's own limit. Columns of a row may each be as long as the server's
/// `max_allowed_packet`, so that limit is none for a row.
const LONGEST_ROW_BYTES: u32 = 1 << 30;
/// The collation of our statements: `utf8mb4_general_ci`, which every version has.
const COLLATION: u8 = 45;
/// Asks for more, or tells more, during the login.
const MORE: u8 = 0x01;

/// What the server says first.
struct Greeting {
    version: String,
    capabilities: u32,
    salt: Vec<u8>,
    plugin: String,
}

pub(super) fn open(settings: &Settings, shutdown: Shutdown) -> Result<Connection, SourceError> {
    let stream = connect(settings)?;
    let is_local = matches!(stream, Stream::Unix(_));
    let socket = Socket::new(stream, shutdown.clone(), settings.connect_timeout)?;
    let mut connection = Connection {
        socket,
        sequence: 0,
        joined: Vec::new(),
        is_spent: false,
        version: String::new(),
    };
    let greeting = connection.greeting()?;
    connection.version.clone_from(&greeting.version);
    let mut capabilities = OURS;
    let offers_tls = greeting.capabilities & SSL != 0;
    let is_encrypted = match (&settings.address, settings.tls) {
        (Address::Unix(_), _) | (_, TlsMode::Disable) => false,
        (_, TlsMode::Prefer) => offers_tls,
        (_, TlsMode::Require | TlsMode::VerifyCa | TlsMode::VerifyFull) if !offers_tls => {
            return Err(SourceError::NoTls);
        }
        (_, TlsMode::Require | TlsMode::VerifyCa | TlsMode::VerifyFull) => true,
    };
    if is_encrypted {
        capabilities |= SSL;
        connection.send(&head(capabilities))?;
        connection.encrypt(settings, shutdown)?;
    }
    let login =
        Login { password: settings.password.as_ref(), is_private: is_encrypted || is_local };
    let proof = login.proof(&greeting.plugin, &greeting.salt);
    // The server's default may be a login we do not know; the account's own is what it asks for next.
    let (plugin, proof) = match proof {
        Some(proof) => (greeting.plugin.as_str(), proof),
        None => ("mysql_native_password", Vec::new()),
    };
    let mut response = head(capabilities);
    response.extend(settings.user.as_bytes());
    response.push(0);
    put_counted(&proof, &mut response);
    for text in [settings.database.as_str(), plugin] {
        response.extend(text.as_bytes());
        response.push(0);
    }
    let mut attributes = Vec::new();
    put_counted(b"program_name", &mut attributes);
    put_counted(b"ol-ingest", &mut attributes);
    put_counted(&attributes, &mut response);
    connection.send(&response)?;
    connection.prove(&login, plugin.to_owned())?;
    connection.socket.be_patient_for(settings.stall_limit);
    Ok(connection)
}

/// The socket; no address of the host may answer.
fn connect(settings: &Settings) -> Result<Stream, SourceError> {
    match &settings.address {
        Address::Unix(path) => {
            Ok(Stream::Unix(UnixStream::connect(path).map_err(SourceError::Io)?))
        }
        Address::Tcp { host, port } => {
            let stream = connect_tcp(host, *port, settings.connect_timeout);
            let stream = stream.map_err(|error| match error {
                ConnectError::HostUnknown(_) => SourceError::HostUnknown,
                ConnectError::Io(error) => SourceError::Io(error),
            })?;
            stream.set_nodelay(true).map_err(SourceError::Io)?;
            Ok(Stream::Tcp(stream))
        }
    }
}

/// The beginning of the login, which alone asks for encryption.
fn head(capabilities: u32) -> Vec<u8> {
    let mut head = capabilities.to_le_bytes().to_vec();
    head.extend(LONGEST_ROW_BYTES.to_le_bytes());
    head.push(COLLATION);
    head.extend([0; 23]);
    head
}

impl Connection {
    fn greeting(&mut self) -> Result<Greeting, SourceError> {
        let payload = self.receive()?;
        let body = self.payload(&payload);
        if body.first() == Some(&ERROR) {
            return Err(packet::error(body));
        }
        let mut cursor = Cursor::new(body);
        if cursor.byte()? != 10 {
            return Err(SourceError::Protocol("the greeting of a MySQL server"));
        }
        let version = cursor.text();
        cursor.bytes(4)?;
        let mut salt = cursor.bytes(8)?.to_vec();
        cursor.byte()?;
        let low = cursor.number(2)?;
        cursor.bytes(3)?;
        let high = cursor.number(2)?;
        let capabilities = u32::try_from(low | high << 16).unwrap_or_default();
        if capabilities & NEEDED != NEEDED {
            return Err(SourceError::TooOld(version));
        }
        let length = usize::from(cursor.byte()?).saturating_sub(8).max(13);
        cursor.bytes(10)?;
        salt.extend(cursor.bytes(length)?);
        salt.truncate(20);
        Ok(Greeting { version, capabilities, salt, plugin: cursor.text() })
    }

    /// Encrypts the connection from here on.
    fn encrypt(&mut self, settings: &Settings, shutdown: Shutdown) -> Result<(), SourceError> {
        let (Address::Tcp { host, .. }, Some(stream)) = (&settings.address, self.socket.tcp())
        else {
            return Err(SourceError::Protocol("a connection to encrypt"));
        };
        let mut client = tls::client(settings.tls, settings.root_certificate.as_deref(), host)
            .map_err(|error| SourceError::Tls(error.0))?;
        let mut stream = stream.map_err(SourceError::Io)?;
        stream.set_read_timeout(Some(settings.connect_timeout)).map_err(SourceError::Io)?;
        let handshake = client.complete_io(&mut stream);
        handshake.map_err(|error| SourceError::Tls(error.to_string()))?;
        let stream = Stream::Tls(Box::new(StreamOwned::new(client, stream)));
        self.socket = Socket::new(stream, shutdown, settings.connect_timeout)?;
        Ok(())
    }

    /// Answers whatever the server asks for, until it is content.
    fn prove(&mut self, login: &Login<'_>, mut plugin: String) -> Result<(), SourceError> {
        loop {
            let payload = self.receive()?;
            let body = self.payload(&payload);
            let answer = match body {
                [OK, ..] => return Ok(()),
                [ERROR, ..] => return Err(packet::error(body)),
                // Of the oldest login of all only the request is left.
                [END] => return Err(SourceError::Plugin("mysql_old_password".into())),
                [END, rest @ ..] => {
                    let mut cursor = Cursor::new(rest);
                    plugin = cursor.text();
                    let salt = cursor.rest();
                    let salt = salt.get(..20).unwrap_or(salt);
                    login.proof(&plugin, salt).ok_or_else(|| login.refusal(&plugin))?
                }
                // `caching_sha2_password`: the server knew the proof, or wants the password itself.
                [MORE, 3] => continue,
                [MORE, 4] => login.in_clear(&plugin)?,
                _ => return Err(SourceError::Plugin(plugin)),
            };
            self.send(&answer)?;
        }
    }
}

/// What a login is done with.
struct Login<'a> {
    password: Option<&'a SecretText>,
    /// Whether nobody else can read what is sent.
    is_private: bool,
}

impl Login<'_> {
    fn password(&self) -> &[u8] {
        self.password.map_or(&[], |password| password.expose().as_bytes())
    }

    /// What a login asks for first; `None` for one that we do not know, or may not use here.
    fn proof(&self, plugin: &str, salt: &[u8]) -> Option<Vec<u8>> {
        match plugin {
            "mysql_native_password" => Some(native(self.password(), salt)),
            "caching_sha2_password" => Some(caching_sha2(self.password(), salt)),
            "sha256_password" | "mysql_clear_password" if self.is_private => {
                self.in_clear(plugin).ok()
            }
            _ => None,
        }
    }

    /// The password itself.
    fn in_clear(&self, plugin: &str) -> Result<Vec<u8>, SourceError> {
        if !self.is_private {
            return Err(self.refusal(plugin));
        }
        let mut answer = self.password().to_vec();
        answer.push(0);
        Ok(answer)
    }

    fn refusal(&self, plugin: &str) -> SourceError {
        match plugin {
            "caching_sha2_password" | "sha256_password" | "mysql_clear_password" => {
                SourceError::PasswordInClear(plugin.to_owned())
            }
            _ => SourceError::Plugin(plugin.to_owned()),
        }
    }
}

/// `SHA1(password) XOR SHA1(salt ‖ SHA1(SHA1(password)))`; nothing for no password.
fn native(password: &[u8], salt: &[u8]) -> Vec<u8> {
    use sha1::{Digest as _, Sha1};
    if password.is_empty() {
        return Vec::new();
    }
    let once = Sha1::digest(password);
    let mask = Sha1::new().chain_update(salt).chain_update(Sha1::digest(once)).finalize();
    once.iter().zip(mask).map(|(byte, mask)| byte ^ mask).collect()
}

/// `SHA256(password) XOR SHA256(SHA256(SHA256(password)) ‖ salt)`; nothing for no password.
fn caching_sha2(password: &[u8], salt: &[u8]) -> Vec<u8> {
    use sha2::{Digest as _, Sha256};
    if password.is_empty() {
        return Vec::new();
    }
    let once = Sha256::digest(password);
    let mask = Sha256::new().chain_update(Sha256::digest(once)).chain_update(salt).finalize();
    once.iter().zip(mask).map(|(byte, mask)| byte ^ mask).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hexadecimal(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// What Python's hashlib computes of the documented formulas.
    #[test]
    fn proofs_are_the_documented_ones() {
        let salt: Vec<u8> = (1..=20).collect();
        assert_eq!(hexadecimal(&native(b"secret", &salt)), NATIVE);
        assert_eq!(hexadecimal(&caching_sha2(b"secret", &salt)), CACHING_SHA2);
        assert!(native(b"", &salt).is_empty() && caching_sha2(b"", &salt).is_empty());
    }

    const NATIVE: &str = "b32bb3a583e1340c0a1108d58b1be49781ad8c2f";
    const CACHING_SHA2: &str = "746ebe205d56a0707acb3e796e834e0dd7b1d61743b26bd5202c7a623230c7c9";

    #[test]
    fn a_password_is_sent_as_it_is_only_where_nobody_can_read_it() {
        let password = SecretText::new("secret");
        let public = Login { password: Some(&password), is_private: false };
        assert_eq!(public.proof("mysql_clear_password", &[]), None);
        assert!(public.in_clear("caching_sha2_password").is_err());
        let private = Login { password: Some(&password), is_private: true };
        assert_eq!(private.proof("mysql_clear_password", &[]).as_deref(), Some(&b"secret\0"[..]));
        assert_eq!(private.proof("dialog", &[]), None);
    }
}
