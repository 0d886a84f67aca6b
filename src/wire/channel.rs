//! A channel: a link with its read buffer, which keeps the messages that may come at any time
//! (notices, parameter changes, notifications) away from whoever waits for an answer.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::cancel::CancelHandle;
use super::link::Link;
use super::message::{
    Header, LARGEST_ANSWER_BYTES, Message, WORDS_KEPT, cut_off, tag, take_string,
};
use super::server_words::Fields;
use super::silence;

/// Servers report a dozen or two; what reports more than this is no PostgreSQL server.
const MOST_PARAMETERS: usize = 256;

/// How many messages are read of a server that hung up, for the error among them.
const LAST_MESSAGES: usize = 1000;

/// What one read asks for: fewer, larger reads are what makes the data plane cheap.
const READ_BYTES: usize = 256 * 1024;

/// While sending, answers are read so that neither side waits for the other to read; beyond this
/// they stay in the socket.
const UNREAD_ANSWERS_BYTES: usize = 16 * 1024 * 1024;

/// A link and what arrived on it.
pub(super) struct Channel {
    pub(super) link: Link,
    pub(super) buffer: BytesMut,
    /// What is still to come of a message of which the rest isn't wanted.
    pub(super) unwanted: usize,
    /// The server's settings as it last reported them.
    pub(super) parameters: BTreeMap<String, String>,
    pub(super) warnings: Warnings,
    /// The session behind it, once there is one.
    pub(super) session: Option<CancelHandle>,
    /// Whether it is the server's turn to say something, so that silence is suspicious: not while a
    /// COPY is fed.
    pub(super) is_due: bool,
    /// Whether it was silent for too long: it isn't waited for again.
    pub(super) is_given_up: bool,
}

impl Channel {
    pub(super) fn new(link: Link) -> Channel {
        Channel {
            link,
            buffer: BytesMut::new(),
            unwanted: 0,
            parameters: BTreeMap::new(),
            warnings: Warnings::default(),
            session: None,
            is_due: true,
            is_given_up: false,
        }
    }

    /// Reads once; the end of the stream is an error.
    pub(super) async fn fill(&mut self) -> io::Result<usize> {
        if self.is_given_up {
            return Err(hung_up());
        }
        let filling = fill(&mut self.link, &mut self.buffer);
        match &self.session {
            Some(session) if self.is_due => {
                let filled = silence::unless_lost(session, &AtomicU64::new(0), filling).await;
                self.is_given_up = filled.is_err();
                filled?
            }
            _ => filling.await,
        }
    }

    /// The header of the next message, whose body may still be on its way. Dropping the future loses
    /// nothing.
    pub(super) async fn header(&mut self) -> io::Result<Header> {
        loop {
            let now = self.unwanted.min(self.buffer.len());
            self.buffer.advance(now);
            self.unwanted -= now;
            if self.unwanted == 0
                && let Some(header) = Header::read(&self.buffer)?
            {
                return Ok(header);
            }
            self.fill().await?;
        }
    }

    /// The header of the next message that answers something; see [`Channel::header`].
    pub(super) async fn header_of_answer(&mut self) -> io::Result<Header> {
        loop {
            let header = self.header().await?;
            if !comes_any_time(header.tag) {
                return Ok(header);
            }
            let message = self.whole(header, LARGEST_ANSWER_BYTES).await?;
            self.keep(message)?;
        }
    }

    /// The next message that answers something; its body has at most `largest` bytes.
    pub(super) async fn receive(&mut self, largest: usize) -> io::Result<Message> {
        loop {
            let header = self.header().await?;
            if !comes_any_time(header.tag) {
                return self.whole(header, largest).await;
            }
            let message = self.whole(header, LARGEST_ANSWER_BYTES).await?;
            self.keep(message)?;
        }
    }

    /// The message behind `header`, of at most `largest` bytes. Of a long error or notice, as of a
    /// server that quotes a whole value, the beginning is enough.
    async fn whole(&mut self, header: Header, largest: usize) -> io::Result<Message> {
        if header.is_long_winded() {
            while self.buffer.len() < Header::SIZE + WORDS_KEPT {
                self.fill().await?;
            }
            let beginning = self.buffer.split_to(Header::SIZE + WORDS_KEPT);
            self.unwanted = header.body - WORDS_KEPT;
            return Ok(Message { tag: header.tag, body: cut_off(&beginning[Header::SIZE..]) });
        }
        loop {
            if let Some(message) = Message::take(&mut self.buffer, largest)? {
                return Ok(message);
            }
            self.fill().await?;
        }
    }

    /// Takes in a message that may come at any time.
    fn keep(&mut self, mut message: Message) -> io::Result<()> {
        match message.tag {
            tag::NOTICE => self.warnings.note(Fields::read(message.body)?),
            tag::PARAMETER_STATUS => {
                let name = take_string(&mut message.body)?;
                let value = take_string(&mut message.body)?;
                if self.parameters.len() >= MOST_PARAMETERS && !self.parameters.contains_key(&name)
                {
                    let what = "the server reports parameters without end";
                    return Err(io::Error::new(io::ErrorKind::InvalidData, what));
                }
                self.parameters.insert(name, value);
            }
            _ => {}
        }
        Ok(())
    }

    /// Throws away a message of which only the header needs to be here: it may be as large as a
    /// row gets.
    pub(super) async fn discard(&mut self, header: Header) -> io::Result<()> {
        let mut left = header.total();
        loop {
            let now = left.min(self.buffer.len());
            self.buffer.advance(now);
            left -= now;
            if left == 0 {
                return Ok(());
            }
            self.fill().await?;
        }
    }

    /// Writes all of `bytes`. Answers that come meanwhile are read, so that a server that is
    /// itself stuck in writing goes on.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.is_given_up {
            return Err(hung_up());
        }
        let Channel { link, buffer, session, is_given_up, .. } = self;
        let (mut reader, mut writer) = tokio::io::split(link);
        let writing = async {
            let sent = AtomicU64::new(0);
            let sending = send(&mut writer, bytes, &sent);
            match session {
                Some(session) => {
                    let sending = silence::unless_lost(session, &sent, sending).await;
                    *is_given_up = sending.is_err();
                    sending?
                }
                None => sending.await,
            }
        };
        tokio::pin!(writing);
        loop {
            tokio::select! {
                biased;
                written = &mut writing => return written,
                read = fill(&mut reader, buffer), if buffer.len() < UNREAD_ANSWERS_BYTES => read?,
            };
        }
    }

    /// The error that the server sent before it hung up, if it is among what was read.
    pub(super) async fn last_words(&mut self) -> Option<Fields> {
        for _ in 0..LAST_MESSAGES {
            match self.receive(READ_BYTES).await {
                Ok(message) if message.tag == tag::ERROR => return Fields::read(message.body).ok(),
                Ok(_) => {}
                Err(_) => return None,
            }
        }
        None
    }
}

/// Whether a server may send this kind of message at any time.
fn comes_any_time(message: u8) -> bool {
    matches!(message, tag::NOTICE | tag::NOTIFICATION | tag::PARAMETER_STATUS)
}

/// Reads once into `buffer`; the end of the stream is an error. Nothing is lost when the future is
/// dropped.
pub(super) async fn fill(
    reader: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
) -> io::Result<usize> {
    if buffer.capacity() - buffer.len() < READ_BYTES / 4 {
        buffer.reserve(READ_BYTES);
    }
    match reader.read_buf(buffer).await? {
        0 => Err(hung_up()),
        count => Ok(count),
    }
}

/// The end of a stream that should go on.
pub(super) fn hung_up() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection")
}

/// Writes all of `bytes` and flushes. It counts what is sent: a slow link isn't a dead one.
async fn send(
    writer: &mut (impl AsyncWrite + Unpin),
    mut bytes: &[u8],
    sent: &AtomicU64,
) -> io::Result<()> {
    while !bytes.is_empty() {
        let count = writer.write(bytes).await?;
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        sent.fetch_add(count as u64, Ordering::Relaxed);
        bytes = &bytes[count..];
    }
    writer.flush().await
}

/// The last warnings a server sent: a chatty one can't fill the memory.
#[derive(Default)]
pub(super) struct Warnings(VecDeque<String>);

impl Warnings {
    /// How many are kept until somebody takes them.
    const KEPT: usize = 32;

    /// Keeps a notice, if it is a warning.
    pub(super) fn note(&mut self, notice: Fields) {
        if notice.severity != "WARNING" {
            return;
        }
        if self.0.len() == Warnings::KEPT {
            self.0.pop_front();
        }
        self.0.push_back(notice.shown().to_string());
    }

    /// Hands the warnings over.
    pub(super) fn take(&mut self) -> Vec<String> {
        self.0.drain(..).collect()
    }
}
