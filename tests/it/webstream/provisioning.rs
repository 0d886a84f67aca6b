//! What is made on the target before anything moves: roles, passwords, databases.

use std::fs;

use super::hosts::{FILES, Installation};
use crate::{kit, trial};

/// What the target has of it.
const THERE: &str = "SELECT pg_catalog.count(*)::text FROM pg_catalog.pg_roles \
     WHERE rolname LIKE 'webstream%'";

async fn sources(it: &Installation) {
    for name in ["webstream_iam", "webstream_metrics", "webstream_activity"] {
        trial::make_database(&it.source, name, "SELECT 1").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_are_kept_for_their_owner_alone_and_never_reach_the_server() {
    let it = Installation::empty(15, 16).await;
    sources(&it).await;
    trial::change(&it.target, "postgres", "SELECT 1").await;
    let said = it.provision().fine();
    assert_eq!(said.matches("tried by logging in").count(), 3, "{said}");
    let secrets = it.text("secrets.env");
    assert_eq!(secrets.lines().count(), 3, "{secrets}");
    for database in ["IAM", "METRICS", "ACTIVITY"] {
        let name = format!("WEBSTREAM_{database}_PASSWORD=");
        let password = secrets.lines().find_map(|line| line.strip_prefix(&name)).unwrap();
        assert_eq!(password.len(), 32);
        assert!(!said.contains(password));
        assert!(!it.text("gateway/pgconvoy.webstream.json").contains(password));
        let role = format!("webstream_{}", database.to_lowercase());
        let database = it.target.conninfo_as(&role, password, &role);
        assert_eq!(kit::ask(&database, "SELECT current_user::text").await, role);
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(it.path("secrets.env")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let scram = "SELECT pg_catalog.bool_and(rolpassword LIKE 'SCRAM-SHA-256$%')::text \
                 FROM pg_catalog.pg_authid WHERE rolname LIKE 'webstream%'";
    assert_eq!(trial::ask(&it.target, "postgres", scram).await, "true");
    // What was made is no obstacle.
    let said = it.step(&["check"]).fine();
    assert!(!said.contains("refused:") && !said.contains("is there already"), "{said}");
    let owned = "SELECT pg_catalog.count(*)::text FROM pg_catalog.pg_database \
                 WHERE datname LIKE 'webstream%' AND pg_catalog.pg_get_userbyid(datdba) = datname";
    assert_eq!(trial::ask(&it.target, "postgres", owned).await, "3");
    let verifiers = "SELECT pg_catalog.string_agg(rolpassword, ' ' ORDER BY rolname) \
                     FROM pg_catalog.pg_authid WHERE rolname LIKE 'webstream%'";
    let before = trial::ask(&it.target, "postgres", verifiers).await;
    let said = it.provision().fine();
    assert_eq!(said.matches("was there").count(), 6, "{said}");
    assert_eq!(it.text("secrets.env"), secrets);
    assert_eq!(trial::ask(&it.target, "postgres", verifiers).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_is_there_keeps_its_password() {
    let it = Installation::empty(15, 15).await;
    sources(&it).await;
    trial::change(
        &it.target,
        "postgres",
        "SET ROLE master; CREATE ROLE webstream_iam LOGIN PASSWORD 'its own'",
    )
    .await;
    let said = it.provision().refused();
    for word in ["webstream_iam is there already", "WEBSTREAM_IAM_PASSWORD", "nothing was changed"]
    {
        assert!(said.contains(word), "{word}: {said}");
    }
    assert!(!it.path("secrets.env").exists());
    assert_eq!(trial::ask(&it.target, "postgres", THERE).await, "1");
    it.write("secrets.env", b"WEBSTREAM_IAM_PASSWORD=wrong\n");
    let said = it.provision().refused();
    assert!(said.contains("doesn't let it in") && !said.contains("its own"), "{said}");
    assert_eq!(it.text("secrets.env"), "WEBSTREAM_IAM_PASSWORD=wrong\n");
    it.write("secrets.env", b"WEBSTREAM_IAM_PASSWORD='its own'\n");
    let said = it.provision().fine();
    assert_eq!(said.matches("owner").count(), 3, "{said}");
    assert!(it.text("secrets.env").starts_with("WEBSTREAM_IAM_PASSWORD='its own'\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locale_that_the_target_has_not_is_asked_about() {
    let it = Installation::empty(15, 15).await;
    sources(&it).await;
    // As on Windows; nobody can connect to such a database here, and nobody needs to.
    let windows = "UPDATE pg_database SET datcollate = 'English_United States.1252', \
                   datctype = 'English_United States.1252', \
                   encoding = pg_catalog.pg_char_to_encoding('WIN1252') \
                   WHERE datname = 'webstream_iam'";
    trial::change(&it.source, "postgres", windows).await;
    let said = it.provision().refused();
    assert!(
        said.contains("--locale 'English_United States.1252=")
            && said.contains("--encoding WIN1252=UTF8"),
        "{said}"
    );
    assert_eq!(trial::ask(&it.target, "postgres", THERE).await, "0");
    assert!(!it.path("secrets.env").exists());
    let mapped =
        ["provision", "--locale", "English_United States.1252=C", "--encoding", "WIN1252=UTF8"];
    let mut words: Vec<String> = mapped.map(str::to_owned).to_vec();
    words.extend(it.said());
    it.run(&words.iter().map(String::as_str).collect::<Vec<_>>()).fine();
    let made = "SELECT pg_catalog.concat(datcollate, ' ', pg_catalog.pg_encoding_to_char(encoding)) \
                FROM pg_catalog.pg_database WHERE datname = 'webstream_iam'";
    assert_eq!(trial::ask(&it.target, "postgres", made).await, "C UTF8");
    it.provision().fine();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_owns_several_databases_has_one_password() {
    let it = Installation::empty(15, 16).await;
    sources(&it).await;
    for name in FILES {
        let text = it
            .text(name)
            .replace("Username=webstream_metrics", "Username=webstream_iam")
            .replace("User Id=webstream_activity", "User Id=webstream_iam")
            .replace("Username=webstream&#95;activity", "Username=webstream_iam");
        it.write(name, text.as_bytes());
    }
    trial::change(&it.source, "postgres", "ALTER ROLE webstream_iam CONNECTION LIMIT 40").await;
    trial::change(&it.source, "postgres", "ALTER ROLE webstream_iam SET search_path = a, \"B c\"")
        .await;
    it.provision().fine();
    let secrets = it.text("secrets.env");
    let mut passwords: Vec<&str> =
        secrets.lines().filter_map(|line| Some(line.split_once('=')?.1)).collect();
    assert_eq!(passwords.len(), 3);
    passwords.dedup();
    assert_eq!(passwords.len(), 1);
    assert_eq!(trial::ask(&it.target, "postgres", THERE).await, "1");
    let made = "SELECT pg_catalog.concat(rolconnlimit, ' ', \
                pg_catalog.array_to_string(rolconfig, ' ')) FROM pg_catalog.pg_roles \
                WHERE rolname = 'webstream_iam'";
    assert_eq!(trial::ask(&it.target, "postgres", made).await, "40 search_path=a, \"B c\"");
    // They are one role's: they can't differ.
    it.write("secrets.env", secrets.replacen(passwords[0], "another", 1).as_bytes());
    assert!(
        it.provision().refused().contains("owns several databases, and their variables differ")
    );
}
