//! A proxy before one server, which harms what goes through it where a test says so. It reads what
//! clients say as it is sent, so connections through it go without TLS.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU16, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pgconvoy::servers::Cluster;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, sleep_until};

/// When harm is done.
#[derive(Debug, Clone, Copy)]
pub(crate) enum When {
    /// A client says something that holds this text, for the n-th time.
    Says(&'static str, usize),
    /// Whenever a client says something that holds this text.
    Always(&'static str),
    /// So many bytes went through since the harm was asked for, both ways.
    After(u64),
}

/// What is done to the connection.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Harm {
    /// It is cut before what the client says goes on.
    Cut,
    /// What the client says goes on but for its end, and it is cut.
    CutInRequest,
    /// What the server says next goes on but for its end, and it is cut.
    CutInAnswer,
    /// What the client says goes on; what the server says is swallowed until it has committed, and
    /// then it is cut.
    SwallowCommit,
    /// Nothing goes on any more, and nobody is told.
    Stall,
    /// What the client says goes on so much later.
    Delay(Duration),
    /// All connections are cut, and none is let in for so long.
    Outage(Duration),
    /// Nothing goes on any more on any connection; new ones work after so long.
    Blackout(Duration),
    /// From now on so many bytes a second go through, on each connection and way.
    Slow(u64),
    /// A bit flips, in the last byte of a text that was waited for, and all goes on.
    FlipBit(u8),
}

/// The sockets hold little, so that whoever sends notices soon how fast it goes.
const BUFFER: u32 = 64 * 1024;

/// So much of a busy machine's delay a slow connection makes up for.
const OVERSLEPT: Duration = Duration::from_millis(200);

/// A proxy on a port of its own; it ends with its value.
pub(crate) struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    /// Where the server is.
    server: AtomicU16,
    rules: Mutex<VecDeque<Rule>>,
    struck: AtomicUsize,
    passed: AtomicU64,
    /// Bytes a second; 0 for all that come.
    rate: AtomicU64,
    /// Connections that are older than this are to end, or to fall silent.
    end: watch::Sender<Option<(Instant, End)>>,
    /// Until when nobody is let in, or heard.
    away: Mutex<Option<(Instant, End)>>,
}

struct Rule {
    when: When,
    harm: Harm,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Cut,
    Silent,
}

/// What becomes of the server's answers on a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Answers {
    Pass,
    AreCut,
    AreSwallowed,
    Stall,
}

impl Proxy {
    /// A proxy before this cluster, whose clients must not ask for TLS.
    pub(crate) async fn before(cluster: &Cluster) -> Proxy {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(BUFFER).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(128).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            server: AtomicU16::new(cluster.port()),
            rules: Mutex::default(),
            struck: AtomicUsize::new(0),
            passed: AtomicU64::new(0),
            rate: AtomicU64::new(0),
            end: watch::Sender::new(None),
            away: Mutex::default(),
        });
        let task = tokio::spawn(listen(listener, Arc::clone(&shared)));
        Proxy { port, shared, task }
    }

    /// Its port on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Does this harm.
    pub(crate) fn will(&self, when: When, harm: Harm) {
        let when = match when {
            When::After(bytes) => When::After(self.shared.passed.load(Ordering::Relaxed) + bytes),
            says => says,
        };
        self.shared.rules.lock().unwrap().push_back(Rule { when, harm });
    }

    /// How often it has done harm.
    pub(crate) fn struck(&self) -> usize {
        self.shared.struck.load(Ordering::Relaxed)
    }

    /// Forgets what it was to do.
    pub(crate) fn relent(&self) {
        self.shared.rules.lock().unwrap().clear();
        self.shared.rate.store(0, Ordering::Relaxed);
    }

    /// Leads new connections to another port.
    pub(crate) fn lead_to(&self, port: u16) {
        self.shared.server.store(port, Ordering::Relaxed);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(listener: TcpListener, shared: Arc<Shared>) {
    // The connections end with the task.
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        connections.spawn(connection(client, Arc::clone(&shared)));
    }
}

async fn connection(client: TcpStream, shared: Arc<Shared>) {
    let began = Instant::now();
    let away = *shared.away.lock().unwrap();
    match away.filter(|(until, _)| began < *until) {
        Some((_, End::Cut)) => return,
        Some((_, End::Silent)) => std::future::pending().await,
        None => {}
    }
    let port = shared.server.load(Ordering::Relaxed);
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_send_buffer_size(BUFFER).unwrap();
    let Ok(server) = socket.connect(([127, 0, 0, 1], port).into()).await else { return };
    for stream in [&client, &server] {
        stream.set_nodelay(true).unwrap();
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let answers = Mutex::new(Answers::Pass);
    let mut end = shared.end.subscribe();
    let ended = async {
        let is_ours = |end: &Option<(Instant, End)>| end.is_some_and(|(when, _)| began <= when);
        let end = end.wait_for(is_ours).await.ok().and_then(|end| *end);
        end.map_or(End::Cut, |(_, end)| end)
    };
    let ended = tokio::select! {
        biased;
        ended = ended => ended,
        _ = requests(from_client, to_server, &shared, &answers) => End::Cut,
        _ = replies(from_server, to_client, &shared, &answers) => End::Cut,
    };
    if ended == End::Silent {
        std::future::pending().await
    }
}

/// Carries what the client says, until one side is gone or harm ends it.
async fn requests(
    mut client: OwnedReadHalf,
    mut server: OwnedWriteHalf,
    shared: &Shared,
    answers: &Mutex<Answers>,
) -> std::io::Result<()> {
    let (mut buffer, mut due) = (vec![0; 64 * 1024], Instant::now());
    // A text may come in two pieces.
    let mut said: Vec<u8> = Vec::new();
    loop {
        let count = client.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        let known = said.len();
        said.extend_from_slice(&buffer[..count]);
        let become_of_answers = |what| *answers.lock().unwrap() = what;
        let (harm, end) = shared.harm(&said, known).unzip();
        if let (Some(Harm::FlipBit(bit)), Some(end)) = (harm, end) {
            buffer[end - 1 - known] ^= 1 << bit;
        }
        let bytes = &buffer[..count];
        match harm {
            None | Some(Harm::FlipBit(_)) => {}
            Some(Harm::Cut) => return Ok(()),
            Some(Harm::CutInRequest) => return server.write_all(but_for_its_end(bytes)).await,
            Some(Harm::CutInAnswer) => become_of_answers(Answers::AreCut),
            Some(Harm::SwallowCommit) => become_of_answers(Answers::AreSwallowed),
            Some(Harm::Stall) => {
                become_of_answers(Answers::Stall);
                std::future::pending::<()>().await;
            }
            Some(Harm::Delay(time)) => sleep(time).await,
            Some(Harm::Outage(time)) => return shared.be_away(time, End::Cut).await,
            Some(Harm::Blackout(time)) => return shared.be_away(time, End::Silent).await,
            Some(Harm::Slow(rate)) => shared.rate.store(rate, Ordering::Relaxed),
        }
        shared.pass(&mut server, bytes, &mut due).await?;
        said.drain(..said.len().saturating_sub(64));
    }
}

/// Carries what the server says.
async fn replies(
    mut server: OwnedReadHalf,
    mut client: OwnedWriteHalf,
    shared: &Shared,
    answers: &Mutex<Answers>,
) -> std::io::Result<()> {
    let (mut buffer, mut due) = (vec![0; 64 * 1024], Instant::now());
    let mut swallowed = Vec::new();
    loop {
        let count = server.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        let bytes = &buffer[..count];
        let become_of_it = *answers.lock().unwrap();
        match become_of_it {
            Answers::Pass => shared.pass(&mut client, bytes, &mut due).await?,
            Answers::AreCut => return client.write_all(but_for_its_end(bytes)).await,
            Answers::AreSwallowed => {
                swallowed.extend_from_slice(bytes);
                if holds(&swallowed, "COMMIT\0") {
                    return Ok(());
                }
            }
            Answers::Stall => std::future::pending().await,
        }
    }
}

impl Shared {
    /// The harm that what a client has `said`, of which `known` bytes are old, asks for, and where
    /// that ends.
    fn harm(&self, said: &[u8], known: usize) -> Option<(Harm, usize)> {
        let passed = self.passed.load(Ordering::Relaxed);
        let mut rules = self.rules.lock().unwrap();
        let mut end = said.len();
        let due = rules.iter_mut().position(|rule| match &mut rule.when {
            When::Says(text, times) => {
                let old = known.saturating_sub(text.len() - 1);
                if let Some(found) = find(&said[old..], text) {
                    *times -= 1;
                    end = old + found;
                }
                *times == 0
            }
            When::Always(text) => holds(&said[known.saturating_sub(text.len() - 1)..], text),
            When::After(bytes) => *bytes <= passed,
        })?;
        self.struck.fetch_add(1, Ordering::Relaxed);
        match rules[due].when {
            When::Always(_) => Some((rules[due].harm, end)),
            When::After(bytes) => {
                // Any of the new bytes.
                let end = known + 1 + bytes as usize % (said.len() - known);
                rules.remove(due).map(|rule| (rule.harm, end))
            }
            When::Says(..) => rules.remove(due).map(|rule| (rule.harm, end)),
        }
    }

    /// Lets bytes through, at the pace that is asked for. A piece is `due` then; what a busy machine
    /// sleeps too long is made up for.
    async fn pass(
        &self,
        to: &mut OwnedWriteHalf,
        bytes: &[u8],
        due: &mut Instant,
    ) -> std::io::Result<()> {
        self.passed.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        for piece in bytes.chunks(16 * 1024) {
            let rate = self.rate.load(Ordering::Relaxed);
            if rate > 0 {
                let earliest = Instant::now().checked_sub(OVERSLEPT).unwrap_or(*due);
                *due =
                    earliest.max(*due) + Duration::from_secs_f64(piece.len() as f64 / rate as f64);
                sleep_until((*due).into()).await;
            }
            to.write_all(piece).await?;
        }
        Ok(())
    }

    /// Ends all connections there are, this one too, and any that come for so long.
    async fn be_away(&self, time: Duration, end: End) -> std::io::Result<()> {
        *self.away.lock().unwrap() = Some((Instant::now() + time, end));
        self.end.send_replace(Some((Instant::now(), end)));
        std::future::pending().await
    }
}

fn but_for_its_end(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len() - bytes.len().min(3)]
}

/// Whether it is said; the plan that is written to the ledger quotes what will be.
fn holds(bytes: &[u8], text: &str) -> bool {
    find(bytes, text).is_some()
}

/// Where it ends.
fn find(bytes: &[u8], text: &str) -> Option<usize> {
    let mut windows = bytes.windows(text.len()).enumerate();
    let found = windows
        .find(|(at, window)| *window == text.as_bytes() && (*at == 0 || bytes[at - 1] != b'"'));
    found.map(|(at, _)| at + text.len())
}
