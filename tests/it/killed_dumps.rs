//! Dumps that are killed at each named point and at any instant, whose journal is torn, or two of
//! which are at work at once: the same command ends with an archive in which everything is right, and
//! until then nothing has its name.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use pgconvoy::archive::Manifest;
use pgconvoy::commands::{Layout, inspect};
use pgconvoy::engine::failpoint::{Act, Point};
use pgconvoy::servers::Cluster;

use crate::random::{self, Random};
use crate::{dumps, pg_dump, trial};

/// A source, and a place for an archive of it.
struct Stage {
    cluster: Cluster,
    _folder: tempfile::TempDir,
    path: PathBuf,
    layout: Layout,
    /// What a dump that nobody disturbs comes to, and how long that takes.
    whole: Proof,
    takes: Duration,
}

/// The fingerprint and the rows of all that has rows, by name.
type Proof = BTreeMap<String, (String, Option<u64>)>;

impl Stage {
    async fn new(layout: Layout) -> Stage {
        // As many pages, and chunks, with a tenth of the rows.
        let sparse = dumps::SHOP.replace("STORED);", "STORED) WITH (fillfactor = 10);");
        let cluster = dumps::quiet(18, &sparse.replace("(1, 70000)", "(1, 7000)")).await;
        let (folder, path) = dumps::archive();
        let (whole, takes) = (Proof::new(), Duration::ZERO);
        let mut stage = Stage { cluster, _folder: folder, path, layout, whole, takes };
        let began = Instant::now();
        stage.run("undisturbed");
        stage.takes = began.elapsed();
        stage.whole = stage.proof("undisturbed").await;
        stage.clear();
        stage
    }

    fn partial(&self) -> PathBuf {
        self.path.with_extension("partial")
    }

    fn journal(&self) -> PathBuf {
        self.partial().join("journal")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pgconvoy"));
        let format = if self.layout == Layout::Custom { "custom" } else { "directory" };
        command.args(["dump", "--json", "-j", "2", "-Z", "gzip:1", "-F", format, "--file"]);
        command.arg(&self.path).arg("--source").arg(self.cluster.superuser_conninfo("shop"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn start(&self) -> Child {
        self.command().spawn().unwrap()
    }

    /// Runs the command to an end that must be good; what was said.
    fn run(&self, case: &str) -> String {
        let output = self.command().output().unwrap();
        assert!(output.status.success(), "{case}: {}", said(&output));
        said(&output)
    }

    /// Runs the command, which must die when it passes the point for the n-th time.
    fn dies_at(&self, point: Point, count: usize) {
        let mut command = self.command();
        let output =
            command.env("PGCONVOY_FAILPOINT", format!("{point}:{count}")).output().unwrap();
        assert!(output.status.signal().is_some(), "{point}: is never passed: {}", said(&output));
    }

    /// What the archive is proven to hold.
    async fn proof(&self, case: &str) -> Proof {
        let inspected = inspect(&self.path).await.unwrap();
        assert!(inspected.is_sound(), "{case}: {:?}", inspected.flaws);
        let manifest = fs::read(Manifest::path(&self.path, self.layout)).unwrap();
        let manifest: Manifest = serde_json::from_slice(&manifest).unwrap();
        let with_rows = inspected.entries.iter().filter_map(|entry| {
            let rows = manifest.rows.iter().find(|rows| rows.item == entry.id)?;
            Some((format!("{} {}", entry.kind, entry.name), (rows.fingerprint.clone(), entry.rows)))
        });
        with_rows.collect()
    }

    /// The archive is as it should be; then there is none any more.
    async fn assert_whole(&self, case: &str) {
        assert_eq!(self.proof(case).await, self.whole, "{case}");
        self.clear();
    }

    async fn assert_restored(&self) {
        let copies = dumps::beside(&self.cluster).await;
        let restorer = pg_dump::restorers().pop().unwrap();
        let servers = (&self.cluster, &copies);
        dumps::assert_restored("shop", servers, &self.path, &restorer, "4").await;
    }

    fn clear(&self) {
        let manifest = Manifest::path(&self.path, Layout::Custom);
        for path in [&self.path, &self.partial(), &manifest] {
            pgconvoy::archive::remove(path).unwrap();
        }
    }
}

/// What a run that was killed has left, to be put back.
struct Left(Vec<(PathBuf, Vec<u8>)>);

impl Left {
    fn taken(folder: &Path) -> Left {
        let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        Left(files.map(|path| (path.clone(), fs::read(path).unwrap())).collect())
    }

    fn put(&self, folder: &Path) {
        fs::create_dir_all(folder).unwrap();
        for (path, bytes) in &self.0 {
            fs::write(path, bytes).unwrap();
        }
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// Whether the archive has its name when a run dies here.
fn is_named(point: Point) -> bool {
    matches!(
        point,
        Point::After(Act::NameArchive)
            | Point::Before(Act::ClearPacks)
            | Point::After(Act::ClearPacks)
    )
}

async fn is_finished_wherever_it_is_killed(layout: Layout) {
    let stage = Stage::new(layout).await;
    // Until they are joined, packs are the same whatever they become.
    let points = Point::of_dumps().into_iter().filter(|point| {
        let joins = is_named(*point)
            || matches!(point, Point::After(Act::JoinPacks) | Point::Before(Act::NameArchive));
        joins || layout == Layout::Directory
    });
    for point in points {
        let case = point.to_string();
        let is_of_pack = matches!(
            point,
            Point::Before(Act::WritePack | Act::NotePack)
                | Point::After(Act::WritePack | Act::NotePack)
        );
        stage.dies_at(point, if is_of_pack { 2 } else { 1 });
        assert_eq!(stage.path.exists(), is_named(point), "{case}");
        if is_named(point) {
            let output = stage.command().output().unwrap();
            assert_eq!(output.status.code(), Some(3), "{case}: {}", said(&output));
            assert!(said(&output).contains("is there already"), "{case}: {}", said(&output));
            let is_told = said(&output).contains("it is whole");
            assert_eq!(is_told, stage.partial().exists(), "{case}: {}", said(&output));
        } else {
            let said = stage.run(&case);
            // One pack was noted, or all were.
            let goes_on = !matches!(
                point,
                Point::Before(Act::BeginDump | Act::WritePack) | Point::After(Act::BeginDump)
            );
            assert!(!said.contains("all anew"), "{case}: {said}");
            let took_over = !said.contains(r#""taken_over":0"#);
            assert!(took_over || !goes_on, "{case}: {said}");
            assert!(!stage.partial().exists(), "{case}");
        }
        stage.assert_whole(&case).await;
    }

    let seed = random::seed();
    eprintln!("PGCONVOY_TEST_SEED={seed}");
    let mut random = Random::of_seed(seed);
    for _ in 0..2 {
        let mut case = format!("seed {seed}: killed after");
        for _ in 0..2 {
            let time = stage.takes.mul_f64(random.below(1000) as f64 / 1000.0);
            case.push_str(&format!(" {time:?}"));
            let mut child = stage.start();
            std::thread::sleep(time);
            child.kill().unwrap();
            child.wait().unwrap();
        }
        if !stage.path.exists() {
            stage.run(&case);
        }
        stage.assert_whole(&case).await;
    }

    // As soon as packs are being joined.
    let mut child = stage.start();
    let made = stage.partial().join("archive");
    while !made.exists() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_micros(100));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    if !stage.path.exists() {
        stage.run("killed as it joined packs");
    }
    stage.assert_restored().await;
    stage.assert_whole("killed as it joined packs").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_into_a_folder_is_finished_wherever_it_is_killed() {
    is_finished_wherever_it_is_killed(Layout::Directory).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_into_a_file_is_finished_wherever_it_is_killed() {
    is_finished_wherever_it_is_killed(Layout::Custom).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_is_torn_or_has_a_flipped_bit_is_gone_on_with_or_begun_anew() {
    let stage = Stage::new(Layout::Directory).await;
    let seed = random::seed();
    let mut random = Random::of_seed(seed);
    stage.dies_at(Point::Before(Act::JoinPacks), 1);
    let journal = fs::read(stage.journal()).unwrap();
    let lines: Vec<usize> = (0..journal.len()).filter(|at| journal[*at] == b'\n').collect();
    assert!(lines.len() > 2, "few packs: {}", String::from_utf8_lossy(&journal));
    let first = lines[0] as u64;
    let rest = journal.len() as u64 - first;
    let flipped = |at: u64, bit: u64| {
        let mut journal = journal.clone();
        journal[at as usize] ^= 1 << bit;
        journal
    };
    let mut cases = vec![
        ("nothing is left", Vec::new()),
        ("its end is cut off", journal[..journal.len() - 1].to_vec()),
        ("its end is zeros", [&journal[..lines[1] + 1], &[0; 4096]].concat()),
    ];
    // What can still be read as something else.
    for number in ["\"crc32\":", "\"offset\":"] {
        let text = String::from_utf8_lossy(&journal[lines[0]..]).into_owned();
        let at = lines[0] + text.find(number).unwrap() + number.len();
        cases.push(("a number is another", flipped(at as u64, 0)));
    }
    for _ in 0..2 {
        cases.push(("a bit flips at its begin", flipped(random.below(first), random.below(8))));
        let at = first + random.below(rest);
        cases.push(("a bit flips in it", flipped(at, random.below(8))));
        let length = first + 1 + random.below(rest - 1);
        cases.push(("it is torn", journal[..length as usize].to_vec()));
    }
    let left = Left::taken(&stage.partial());
    for (harm, harmed) in cases {
        left.put(&stage.partial());
        fs::write(stage.journal(), &harmed).unwrap();
        let case = format!("{harm}, seed {seed}");
        let said = stage.run(&case);
        let is_told = said.contains("its journal isn't as it was written");
        assert_eq!(is_told, harm == "a bit flips at its begin", "{case}: {said}");
        stage.assert_whole(&case).await;
    }
    for harm in ["shorter", "gone"] {
        left.put(&stage.partial());
        let pack = stage.partial().join("rows.0");
        match harm {
            "shorter" => {
                fs::OpenOptions::new().write(true).open(&pack).unwrap().set_len(9).unwrap()
            }
            _ => fs::remove_file(&pack).unwrap(),
        }
        stage.run(harm);
        stage.assert_whole(harm).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_dumps_into_one_place_one_is_refused() {
    let stage = Stage::new(Layout::Directory).await;
    for round in 0..4 {
        let case = format!("round {round}");
        if round % 2 == 1 {
            // There is something that can't be gone on with.
            stage.dies_at(Point::After(Act::NotePack), 1);
            trial::change(&stage.cluster, "shop", "CREATE TABLE IF NOT EXISTS no_rows ()").await;
        }
        let children = [stage.start(), stage.start()];
        let ended = children.map(|child| child.wait_with_output().unwrap());
        let good = ended.iter().filter(|output| output.status.success()).count();
        assert_eq!(good, 1, "{case}: {:?}", ended.each_ref().map(said));
        let refused = ended.iter().find(|output| !output.status.success()).unwrap();
        let words = said(refused);
        let why = ["another run is at work there", "is there already"];
        assert!(why.iter().any(|why| words.contains(why)), "{case}: {words}");
        assert!(!stage.partial().exists(), "{case}");
        stage.proof(&case).await;
        stage.clear();
    }
}
