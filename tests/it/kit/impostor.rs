//! A server that plays its part as it likes, and the program itself that meets it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The password that the program has for whoever earns it.
pub(crate) const PASSWORD: &str = "hunter2-never-to-be-seen";

/// What nobody's part takes to play.
const PATIENCE: Duration = Duration::from_secs(40);

/// The server's side of a connection.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    heard: Arc<Mutex<Vec<u8>>>,
}

/// A client that hangs up ends the part that is played for it.
pub(crate) type Played = std::io::Result<()>;

pub(crate) fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    [&[tag], &length[..], body].concat()
}

impl Client {
    pub(crate) fn say(&mut self, bytes: &[u8]) -> Played {
        self.stream.write_all(bytes)
    }

    pub(crate) fn send(&mut self, tag: u8, body: &[u8]) -> Played {
        self.say(&message(tag, body))
    }

    /// Says something again and again, until the client has had enough.
    pub(crate) fn repeat(&mut self, mut what: impl FnMut(u64) -> Vec<u8>) -> Played {
        let mut number = 0;
        loop {
            let mut bytes = Vec::new();
            while bytes.len() < 100_000 {
                bytes.extend(what(number));
                number += 1;
            }
            self.say(&bytes)?;
        }
    }

    pub(crate) fn hear_body(&mut self) -> std::io::Result<Vec<u8>> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let mut body = vec![0; u32::from_be_bytes(length) as usize - 4];
        self.stream.read_exact(&mut body)?;
        self.heard.lock().unwrap().extend(&body);
        Ok(body)
    }

    pub(crate) fn hear(&mut self) -> std::io::Result<(u8, Vec<u8>)> {
        let mut tag = [0];
        self.stream.read_exact(&mut tag)?;
        Ok((tag[0], self.hear_body()?))
    }

    /// Has no TLS, and takes the start-up message.
    pub(crate) fn startup(&mut self) -> Played {
        if self.hear_body()?.len() == 4 {
            self.say(b"N")?;
            self.hear_body()?;
        }
        Ok(())
    }

    /// Asks for SCRAM; the client's nonce.
    pub(crate) fn scram(&mut self) -> std::io::Result<String> {
        self.startup()?;
        self.send(b'R', b"\0\0\0\x0aSCRAM-SHA-256\0\0")?;
        let (_, first) = self.hear()?;
        let first = String::from_utf8_lossy(&first).into_owned();
        Ok(first.split("r=").nth(1).unwrap().to_owned())
    }

    /// Lets the client in and takes its session's set-up.
    pub(crate) fn welcome(&mut self) -> Played {
        self.startup()?;
        self.send(b'R', &[0; 4])?;
        self.send(b'S', b"server_version\x0017.2\0")?;
        self.send(b'K', &[0, 0, 0, 7, 0, 0, 0, 9])?;
        self.send(b'Z', b"I")?;
        self.hear()?;
        Ok(())
    }

    /// The same, and sets it up; then takes a query of a session for SQL.
    pub(crate) fn asked(&mut self) -> Played {
        self.welcome()?;
        self.send(b'C', b"SET\0")?;
        self.send(b'Z', b"I")?;
        while self.hear()?.0 != b'S' {}
        self.send(b'1', b"")?;
        self.send(b'2', b"")
    }
}

/// A column of this type.
pub(crate) fn column(oid: u32) -> Vec<u8> {
    let columns = [&b"\0\x01x\0\0\0\0\0\0\0"[..], &oid.to_be_bytes(), &[0; 6], &[0, 1]].concat();
    message(b'T', &columns)
}

/// Where a part is played for every connection, and what is heard there.
pub(crate) fn server(part: fn(&mut Client) -> Played) -> (String, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&heard);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, heard) = (stream.unwrap(), Arc::clone(&hears));
            std::thread::spawn(move || {
                let mut client = Client { stream, heard };
                let _until_it_hangs_up = part(&mut client);
                // Who hangs up first decides nothing.
                let _ended = client.stream.shutdown(std::net::Shutdown::Write);
                let _rest = client.stream.read_to_end(&mut Vec::new());
            });
        }
    });
    (format!("host=127.0.0.1 port={port} user=ann dbname=d connect_timeout=2"), heard)
}

/// How the program ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) said: String,
    pub(crate) peak_kb: u64,
    pub(crate) took: Duration,
}

/// Runs the program with nothing around it but a password.
pub(crate) fn run(arguments: &[&str]) -> Ended {
    run_in(&[("PGPASSWORD", PASSWORD)], arguments)
}

/// Runs the program with nothing around it but these variables.
pub(crate) fn run_in(variables: &[(&str, &str)], arguments: &[&str]) -> Ended {
    let began = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_pgconvoy"))
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        .env("RUST_BACKTRACE", "full")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipes = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let reading = std::thread::spawn(move || {
        let mut said = Vec::new();
        pipes.1.read_to_end(&mut said).unwrap();
        pipes.0.read_to_end(&mut said).unwrap();
        String::from_utf8(said).unwrap()
    });
    let mut peak_kb = 0;
    let code = loop {
        peak_kb = peak_kb.max(peak(&child));
        if let Some(status) = child.try_wait().unwrap() {
            break status.code();
        }
        if began.elapsed() > PATIENCE {
            child.kill().unwrap();
            child.wait().unwrap();
            break None;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    Ended { code, said: reading.join().unwrap(), peak_kb, took: began.elapsed() }
}

/// The most memory a process has had so far.
fn peak(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()));
    let status = status.unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
