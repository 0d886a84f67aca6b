//! A server that costs next to nothing: it sends the same rows over and over, or takes in whatever
//! comes. What is measured against it is the client's own work.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use pgconvoy::copy::{CopyPart, CopyStream, Progress, Tally, forward};
use pgconvoy::pg::RowFormat;
use pgconvoy::wire::{Conninfo, Environment, RawConnection};

/// How much is sent at once.
const BLOCK: usize = 1 << 20;

/// Rows of a COPY in text format.
#[derive(Clone, Copy)]
pub(super) struct Rows {
    /// How many.
    pub(super) count: usize,
    /// Bytes of each, the line's end included.
    pub(super) width: usize,
}

/// Listens on a port of 127.0.0.1, and serves every connection on a thread of its own.
pub(super) fn serve(rows: Rows) -> io::Result<(u16, thread::JoinHandle<()>)> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let port = listener.local_addr()?.port();
    let accepting = thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            // A client that goes away ends its connection, no more.
            thread::spawn(move || speak(socket, rows));
        }
    });
    Ok((port, accepting))
}

/// A connection to the peer on `port`.
pub(super) async fn connect(port: u16) -> RawConnection {
    let conninfo = format!("host=127.0.0.1 port={port} user=u dbname=d sslmode=disable");
    let conninfo = Conninfo::parse(&conninfo, &Environment::default()).expect("a plain conninfo");
    RawConnection::connect(&conninfo).await.expect("the peer listens")
}

/// Copies all rows once.
pub(super) async fn copy(source: &mut RawConnection, target: &mut RawConnection) -> Tally {
    let stream = CopyStream { doing: "copying", format: RowFormat::Text, columns: 1 };
    let part = CopyPart { copy_out: "COPY t TO STDOUT", copy_in: "COPY t FROM STDIN", stream };
    let copied = forward(source, target, &[part], &Progress::default()).await;
    copied.expect("the peer sends what it says")[0]
}

fn speak(mut socket: TcpStream, rows: Rows) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let startup = number(&mut socket)? as usize;
    socket.read_exact(&mut vec![0; startup - 4])?;
    let greeting = [
        message(b'R', &[0; 4]),
        message(b'S', b"server_version\x0015.0\0"),
        message(b'K', &[0; 8]),
        message(b'Z', b"I"),
    ];
    socket.write_all(&greeting.concat())?;
    let mut buffer = vec![0; BLOCK];
    loop {
        let mut tag = [0];
        socket.read_exact(&mut tag)?;
        let length = number(&mut socket)? as usize - 4;
        if buffer.len() < length {
            buffer.resize(length, 0);
        }
        socket.read_exact(&mut buffer[..length])?;
        let sql = &buffer[..length];
        match tag[0] {
            b'Q' if sql.ends_with(b"TO STDOUT\0") => send(&mut socket, rows)?,
            b'Q' if sql.ends_with(b"FROM STDIN\0") => socket.write_all(&message(b'G', &[0; 5]))?,
            b'Q' => socket.write_all(&[message(b'C', b"SET\0"), message(b'Z', b"T")].concat())?,
            b'c' => socket.write_all(&done(rows))?,
            _ => {}
        }
    }
}

fn send(socket: &mut TcpStream, rows: Rows) -> io::Result<()> {
    socket.write_all(&message(b'H', &[0, 0, 1, 0, 0]))?;
    let mut row = vec![b'x'; rows.width];
    row[rows.width - 1] = b'\n';
    let row = message(b'd', &row);
    let at_once = (BLOCK / row.len()).clamp(1, rows.count);
    let block = row.repeat(at_once);
    let mut left = rows.count;
    while left > 0 {
        let now = left.min(at_once);
        socket.write_all(&block[..now * row.len()])?;
        left -= now;
    }
    socket.write_all(&[message(b'c', b""), done(rows)].concat())
}

fn done(rows: Rows) -> Vec<u8> {
    let complete = format!("COPY {}\0", rows.count);
    [message(b'C', complete.as_bytes()), message(b'Z', b"T")].concat()
}

fn number(socket: &mut TcpStream) -> io::Result<u32> {
    let mut bytes = [0; 4];
    socket.read_exact(&mut bytes)?;
    Ok(u32::from_be_bytes(bytes))
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("messages of a benchmark are small");
    [&[tag][..], &length.to_be_bytes(), body].concat()
}
