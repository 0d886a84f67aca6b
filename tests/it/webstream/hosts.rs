//! An installation of WebStream: both servers, and the files of three hosts in three styles.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use pgconvoy::servers::{Cluster, DemoSize, Spec, make_demo_databases};
use pgconvoy::webstream::{Configuration, Keyword, Named, PasswordRef};
use pgconvoy::wire::{Conninfo, Environment, Session};

use crate::kit;

/// How the program ended, and all that it said.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) code: Option<i32>,
    pub(super) out: String,
    pub(super) said: String,
}

impl Ended {
    /// What a step said that is to go well.
    pub(super) fn fine(self) -> String {
        assert_eq!(self.code, Some(0), "{}{}", self.out, self.said);
        self.out
    }

    /// What a step said that is to be refused.
    pub(super) fn refused(self) -> String {
        assert_eq!(self.code, Some(3), "{}{}", self.out, self.said);
        self.said
    }
}

pub(super) struct Installation {
    pub(super) source: Cluster,
    pub(super) target: Cluster,
    pub(super) folder: tempfile::TempDir,
    /// What the program's environment has besides.
    pub(super) variables: BTreeMap<String, String>,
}

impl Installation {
    /// Both servers, the source filled, and three hosts' files.
    pub(super) async fn new(source: u32, target: u32) -> Installation {
        let it = Installation::empty(source, target).await;
        make_demo_databases(&it.source, DemoSize(1)).await.unwrap();
        it
    }

    /// The same with nothing on the source but what a test makes.
    pub(super) async fn empty(source: u32, target: u32) -> Installation {
        // The hosts' pools come to more connections than a server takes unless told otherwise.
        let target = Spec::rds_like().major(target).setting("max_connections", "200");
        let (source, target) = tokio::join!(kit::bundled(source), kit::start(target));
        Installation::between(source, target)
    }

    /// The same between these.
    pub(super) fn between(source: Cluster, target: Cluster) -> Installation {
        let folder = tempfile::tempdir().unwrap();
        let it = Installation { source, target, folder, variables: BTreeMap::new() };
        for (name, text) in it.files() {
            it.write(name, &text);
        }
        let passwords = [
            it.passfile_line(&it.source.conninfo("postgres")),
            it.passfile_line(&it.target.conninfo("postgres")),
        ];
        it.write("pgpass", passwords.concat().as_bytes());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::Permissions::from_mode(0o600);
            fs::set_permissions(it.path("pgpass"), mode).unwrap();
        }
        it
    }

    fn files(&self) -> [(&'static str, Vec<u8>); 3] {
        let port = self.source.port();
        let nested = format!(
            r#"<?xml version="1.0" encoding="utf-8"?>
<configuration>
  <!-- The gateway's host -->
  <accessManagement>
    <database>
      <connectionString>Host=127.0.0.1;Port={port};Database=webstream_iam;Username=webstream_iam;Maximum Pool Size=20</connectionString>
      <passwordRef>env:IAM_PW</passwordRef>
    </database>
  </accessManagement>
  <metricsEngine retentionDays="90">
    <metrics><connectionString>Host=127.0.0.1;Port={port};Database=webstream_metrics;Username=webstream_metrics</connectionString><passwordRef>env:METRICS_PW</passwordRef></metrics>
    <activity><connectionString>Server=127.0.0.1;Port={port};DB=webstream_activity;User Id=webstream_activity;</connectionString><passwordRef>env:ACTIVITY_PW</passwordRef></activity>
  </metricsEngine>
</configuration>
"#
        );
        let attributes = format!(
            "<config><databases>\n  \
             <db name='iam' connectionString='Host=127.0.0.1;Port={port};Database=webstream_iam;\
             Username=webstream_iam'  passwordRef='dpapi:AQAAANCMnd8='/>\n  \
             <db maxPoolSize=\"10\" passwordRef=\"dpapi:AQAAANCMnd8=\" connectionString=\"Host=127.0.0.1;\
             Port={port};Database=webstream_metrics;Username=webstream_metrics;Password=&quot;in;line&quot;\"/>\n\
             </databases></config>"
        );
        let crlf = format!(
            "\u{feff}<?xml version=\"1.0\"?>\n<!-- Größe &amp; <connectionString>no</connectionString> -->\n\
             <a>\n\t<activity>\n\t\t<connectionString>\n\t\t\tHost=127.0.0.1;Port={port};\
             Database=webstream_activity;Username=webstream&#95;activity;Application Name=\"R&amp;D\"\n\t\t\
             </connectionString>\n\t\t<passwordRef>\n\t\t\tenv:ACTIVITY_PW</passwordRef>\n\t</activity>\n\
             \t<other x = 'é&#x20AC;' />\n</a>\n"
        );
        [
            ("gateway/app.config.xml", nested.into_bytes()),
            ("worker/app.config.xml", attributes.into_bytes()),
            ("reports/app.config.xml", crlf.replace('\n', "\r\n").into_bytes()),
        ]
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub(super) fn text(&self, name: &str) -> String {
        String::from_utf8(fs::read(self.path(name)).unwrap()).unwrap()
    }

    /// All files below the folder, but for the plan file and the report.
    pub(super) fn snapshot(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut all = BTreeMap::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_string_lossy();
                // What was said and done is remembered there, and told in the report.
                let tells = ["pgconvoy.webstream.json", "webstream-sign-off."];
                if path.is_dir() {
                    folders.push(path);
                } else if !tells.iter().any(|start| name.starts_with(start)) {
                    all.insert(path.clone(), fs::read(&path).unwrap());
                }
            }
        }
        all
    }

    fn passfile_line(&self, uri: &str) -> String {
        let (login, place) = uri.split_once("://").unwrap().1.split_once('@').unwrap();
        let (user, password) = login.split_once(':').unwrap();
        let port = place.split_once(':').unwrap().1.split_once('/').unwrap().0;
        format!("*:{port}:*:{user}:{password}\n")
    }

    /// How the managed instance is reached by its master user, the password aside.
    pub(super) fn target(&self) -> String {
        format!(
            "host=localhost port={} user=master dbname=postgres sslmode=verify-full sslrootcert={}",
            self.target.port(),
            self.target.authority().display()
        )
    }

    /// What the first step is told; the later ones remember it.
    pub(super) fn said(&self) -> Vec<String> {
        let mut words = Vec::new();
        for (name, _) in self.files() {
            words.push("--config".to_owned());
            words.push(self.path(name).display().to_string());
        }
        let secrets = format!("file:{}", self.path("secrets.env").display());
        for word in ["--target", &self.target(), "--secrets", &secrets, "--npgsql-version", "8.0.3"]
        {
            words.push(word.to_owned());
        }
        words
    }

    /// Takes the first step.
    pub(super) fn provision(&self) -> Ended {
        self.step_told("provision")
    }

    /// Takes a step that is told what the first one is.
    pub(super) fn step_told(&self, step: &str) -> Ended {
        let mut words = vec![step.to_owned()];
        words.extend(self.said());
        self.run(&words.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// The plan file.
    pub(super) fn plan(&self) -> String {
        self.path("gateway/pgconvoy.webstream.json").display().to_string()
    }

    /// Takes a step that knows everything from the plan file.
    pub(super) fn step(&self, words: &[&str]) -> Ended {
        let plan = self.plan();
        self.run(&[words, &["--plan", &plan]].concat())
    }

    /// Takes a step that is told everything.
    pub(super) fn run(&self, words: &[&str]) -> Ended {
        self.answering(words, "")
    }

    /// The same, where somebody answers what is asked.
    pub(super) fn answering(&self, words: &[&str], answers: &str) -> Ended {
        let mut child = self.command(words).spawn().unwrap();
        // Who asks nothing may be gone.
        let _ = child.stdin.take().unwrap().write_all(answers.as_bytes());
        Installation::ended(child)
    }

    /// Takes a step that ends itself at a point, as `kill -9` would.
    #[cfg(all(debug_assertions, unix))]
    pub(super) fn killed_at(&self, point: &str, words: &[&str]) -> Ended {
        let plan = self.plan();
        let words = [words, &["--plan", &plan]].concat();
        let child = self.command(&words).env("PGCONVOY_FAILPOINT", point).spawn().unwrap();
        Installation::ended(child)
    }

    /// Begins a step that knows everything from the plan file.
    #[cfg(all(debug_assertions, unix))]
    pub(super) fn spawned(&self, words: &[&str]) -> Child {
        let plan = self.plan();
        self.command(&[words, &["--plan", &plan]].concat()).spawn().unwrap()
    }

    /// The program with these words, on this host.
    pub(super) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pgconvoy"));
        command
            .arg("webstream")
            .args(words)
            .current_dir(self.folder.path())
            .env_clear()
            .env("PGPASSFILE", self.path("pgpass"))
            .envs(&self.variables)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Waits for its end.
    pub(super) fn ended(child: Child) -> Ended {
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ended { code: output.status.code(), out: text(output.stdout), said: text(output.stderr) }
    }

    /// What a configuration says, read anew.
    pub(super) fn named(&self, name: &str) -> Vec<Named> {
        Configuration::read(&self.path(name)).unwrap().named().unwrap()
    }

    /// A session as the application makes it: with what its configuration says, and the variables that
    /// the secrets file sets.
    pub(super) async fn as_application(&self, named: &Named) -> Session {
        let PasswordRef::Env(variable) = &named.password_ref else { panic!("{named:?}") };
        let secrets = self.text("secrets.env");
        let password = secrets
            .lines()
            .find_map(|line| line.strip_prefix(variable.as_str())?.strip_prefix('='))
            .unwrap();
        let get = |keyword| named.string.get(keyword).unwrap_or_default().to_owned();
        assert_eq!(get(Keyword::SslMode), "VerifyFull");
        let conninfo = format!(
            "host={} port={} dbname={} user={} password={password} sslmode=verify-full \
             sslrootcert={}",
            named.host,
            named.port,
            named.database,
            named.username,
            get(Keyword::RootCertificate)
        );
        let conninfo = Conninfo::parse(&conninfo, &Environment::default()).unwrap();
        Session::connect(&conninfo).await.unwrap()
    }
}

/// The files of the hosts.
pub(super) const FILES: [&str; 3] =
    ["gateway/app.config.xml", "worker/app.config.xml", "reports/app.config.xml"];

/// One number that a role reads.
pub(super) async fn count(session: &Session, table: &str) -> i64 {
    let sql = format!("SELECT pg_catalog.count(*) FROM {table}");
    session.query_one("counting", &sql, &[]).await.unwrap().get(0)
}

/// The folder of a file that is there.
pub(super) fn files_beside(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path.parent().unwrap()).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}
