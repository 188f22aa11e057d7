//! The first packets of a client, each read to its last byte and no further, and TLS where it is asked for.

use super::fault::Fault;
use crate::platform::tls::ALPN;
use crate::platform::tls::server::Current;
use crate::platform::tls::stream::ClientStream;
use crate::platform::wire::startup::{GRANTED, NOT_GRANTED, Opening, OpeningError, body_length, parse};
use crate::traffic::session::Door;
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// First byte of a TLS handshake record: the client begins TLS without asking (PostgreSQL 17).
const TLS_HANDSHAKE: u8 = 0x16;

pub struct Opener {
    pub stream: ClientStream,
    pub door: Arc<Door>,
}

impl Opener {
    /// Answers encryption requests (each at most once) until the real opening packet is there.
    pub async fn negotiate(self) -> Result<(ClientStream, Opening), Fault> {
        let mut this = self.accept_direct_tls().await?;
        let (mut ssl_asked, mut gss_asked) = (this.stream.is_tls(), this.stream.is_tls());
        let mut first = true;
        loop {
            let opening = match this.read_opening(first).await? {
                Ok(opening) => opening,
                Err(error) => return Err(Fault::Told(this.stream, error)),
            };
            first = false;
            match opening {
                Opening::Ssl if !ssl_asked => {
                    ssl_asked = true;
                    this = this.answer_ssl_request().await?;
                    gss_asked |= this.stream.is_tls();
                }
                Opening::Gss if !gss_asked => {
                    gss_asked = true;
                    this = this.refuse_early_bytes()?;
                    this.answer(NOT_GRANTED).await?;
                }
                Opening::Ssl | Opening::Gss => {
                    let error = OpeningError::Malformed("encryption was asked for twice");
                    return Err(Fault::Told(this.stream, error));
                }
                done => return Ok((this.stream, done)),
            }
        }
    }

    /// One packet, read to its last byte and no further.
    async fn read_opening(&mut self, first: bool) -> Result<Result<Opening, OpeningError>, Fault> {
        let mut header = [0; 4];
        match self.stream.read_exact(&mut header).await {
            Ok(_) => {}
            Err(error) if first && error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(Fault::Probe);
            }
            Err(_) => return Err(Fault::Lost),
        }
        // A length that cannot be is not PostgreSQL at all: HTTP, a scan, a wrong port.
        let length = body_length(header).map_err(|_| Fault::Garbage)?;
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await.map_err(|_| Fault::Lost)?;
        Ok(parse(&body))
    }

    /// Bytes that are here before the request was answered were sent in clear by somebody who did not
    /// wait for the answer, and must not count as sent inside the encryption (CVE-2021-23214).
    fn refuse_early_bytes(self) -> Result<Self, Fault> {
        match self.stream.has_unread() {
            false => Ok(self),
            true => Err(Fault::Told(self.stream, OpeningError::EarlyBytes)),
        }
    }

    async fn answer_ssl_request(self) -> Result<Self, Fault> {
        let mut this = self.refuse_early_bytes()?;
        match (this.tls(), &this.stream) {
            (Some(tls), ClientStream::Tcp(_)) => {
                this.answer(GRANTED).await?;
                this.start_tls(&tls, false).await
            }
            _ => {
                this.answer(NOT_GRANTED).await?;
                Ok(this)
            }
        }
    }

    /// A client may begin with a TLS handshake; it must then say `postgresql` by ALPN, so that a
    /// client of another protocol cannot be led here.
    async fn accept_direct_tls(self) -> Result<Self, Fault> {
        let ClientStream::Tcp(tcp) = &self.stream else {
            return Ok(self);
        };
        let mut first = [0; 1];
        match tcp.peek(&mut first).await {
            Ok(0) | Err(_) => Err(Fault::Probe),
            Ok(_) if first == [TLS_HANDSHAKE] => match self.tls() {
                Some(tls) => self.start_tls(&tls, true).await,
                None => Err(Fault::ClientTls(
                    "no certificate is configured for clients".to_owned(),
                )),
            },
            Ok(_) => Ok(self),
        }
    }

    async fn start_tls(self, tls: &Current, direct: bool) -> Result<Self, Fault> {
        let ClientStream::Tcp(tcp) = self.stream else {
            return Err(Fault::ClientTls("TLS is for TCP only".to_owned()));
        };
        let stream = tls.accept(tcp).await.map_err(|failed| match failed.refused {
            Some(refused) => Fault::Certificate(refused, failed.why),
            None => Fault::ClientTls(failed.why),
        })?;
        if direct && stream.get_ref().1.alpn_protocol() != Some(ALPN) {
            return Err(Fault::ClientTls(
                "direct TLS without ALPN `postgresql`".to_owned(),
            ));
        }
        Ok(Self {
            stream: ClientStream::tls(stream, Arc::clone(&tls.leaf)),
            door: self.door,
        })
    }

    /// Taken once for a handshake: the files may be read again meanwhile.
    fn tls(&self) -> Option<Arc<Current>> {
        Some(self.door.tls.as_ref()?.current())
    }

    async fn answer(&mut self, byte: u8) -> Result<(), Fault> {
        self.stream.write_all(&[byte]).await.map_err(|_| Fault::Lost)
    }
}
