//! Proving who we are: password, MD5 and SCRAM-SHA-256.

use bytes::BytesMut;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::frontend;

use super::super::settings::Settings;
use super::error::parse_error;
use super::{Connection, WireError, unexpected};

impl Connection {
    /// Answers whatever the server asks for, until it is content.
    pub(super) fn authenticate(&mut self, settings: &Settings) -> Result<(), WireError> {
        let mut scram: Option<ScramSha256> = None;
        loop {
            let frame = self.next_frame()?;
            let body = self.socket.bytes(frame.body);
            match frame.tag {
                b'E' => return Err(WireError::Server(parse_error(body))),
                b'R' => {}
                b'N' | b'v' => continue,
                tag => return Err(unexpected(tag, "authentication")),
            }
            let (kind, rest) = body
                .split_first_chunk::<4>()
                .ok_or_else(|| WireError::Protocol("a short authentication message".into()))?;
            let password =
                settings.password.as_ref().map_or("", |secret| secret.expose()).as_bytes();
            let mut message = BytesMut::new();
            match i32::from_be_bytes(*kind) {
                0 => return Ok(()),
                3 => frontend::password_message(password, &mut message)?,
                5 => {
                    let salt: [u8; 4] = rest
                        .try_into()
                        .map_err(|_| WireError::Protocol("an MD5 salt of a wrong length".into()))?;
                    let hash = md5_hash(settings.user.as_bytes(), password, salt);
                    frontend::password_message(hash.as_bytes(), &mut message)?;
                }
                10 => {
                    if !rest.split(|byte| *byte == 0).any(|name| name == SCRAM_SHA_256.as_bytes()) {
                        return Err(WireError::Authentication("an unknown SASL"));
                    }
                    let client = ScramSha256::new(password, ChannelBinding::unsupported());
                    frontend::sasl_initial_response(SCRAM_SHA_256, client.message(), &mut message)?;
                    scram = Some(client);
                }
                11 => {
                    let client = scram_state(&mut scram)?;
                    client.update(rest)?;
                    frontend::sasl_response(client.message(), &mut message)?;
                }
                12 => {
                    // The server proves that it knows the password, too.
                    scram_state(&mut scram)?.finish(rest)?;
                    continue;
                }
                2 => return Err(WireError::Authentication("Kerberos V5")),
                7 | 8 => return Err(WireError::Authentication("GSSAPI")),
                9 => return Err(WireError::Authentication("SSPI")),
                _ => return Err(WireError::Authentication("an unknown")),
            }
            self.send(&message)?;
        }
    }
}

fn scram_state(scram: &mut Option<ScramSha256>) -> Result<&mut ScramSha256, WireError> {
    scram.as_mut().ok_or_else(|| WireError::Protocol("SASL data before SASL began".into()))
}
