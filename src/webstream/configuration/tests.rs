use std::collections::BTreeMap;
use std::path::Path;

use super::*;

fn parse(text: &str) -> Result<Configuration> {
    Configuration::parse(Path::new("app.config.xml"), text.as_bytes())
}

fn why(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

fn moved() -> BTreeMap<String, Moved> {
    let one = |variable: &str| Moved {
        settings: vec![
            (Keyword::Host, Some("db.rds.example".to_owned())),
            (Keyword::Password, None),
            (Keyword::SslMode, Some("Require".to_owned())),
        ],
        password_ref: PasswordRef::Env(variable.to_owned()),
    };
    [("webstream_iam", "IAM"), ("webstream_metrics", "METRICS")]
        .map(|(database, variable)| (database.to_owned(), one(variable)))
        .into()
}

const NESTED: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n<!-- connectionString here -->\r\n\
<app>\r\n  <iam a='1'  b = \"2\" >\r\n    <connectionString>Host=127.0.0.1;Port=5432;Database=webstream_iam;\
Username=iam</connectionString>\r\n    <passwordRef>dpapi:AQAA</passwordRef>\r\n  </iam>\r\n  \
<metrics connectionString=\"Server=127.0.0.1;Database=webstream_metrics;UID=m;Password=&quot;a;b&quot;\" \
passwordRef='env:OLD' maxPoolSize=\"12\"/>\r\n</app>\r\n";

#[test]
fn elements_and_attributes_are_found_under_any_parent() {
    let named = parse(NESTED).unwrap().named().unwrap();
    assert_eq!(named.len(), 2);
    assert_eq!(named[0].database, "webstream_iam");
    assert_eq!((named[0].host.as_str(), named[0].port, named[0].pool), ("127.0.0.1", 5432, None));
    assert_eq!(named[0].password_ref, PasswordRef::Dpapi("AQAA".to_owned()));
    assert_eq!((named[1].username.as_str(), named[1].pool), ("m", Some(12)));
    assert_eq!(named[1].password_ref, PasswordRef::Env("OLD".to_owned()));
}

#[test]
fn nothing_changes_but_what_must() {
    let bytes = parse(NESTED).unwrap().rewritten(&moved()).unwrap();
    let expected = NESTED
        .replace("Host=127.0.0.1;Port=5432", "Host=db.rds.example;Port=5432")
        .replace("Username=iam<", "Username=iam;SSL Mode=Require<")
        .replace("dpapi:AQAA", "env:IAM")
        .replace("Server=127.0.0.1", "Server=db.rds.example")
        .replace("UID=m;Password=&quot;a;b&quot;\"", "UID=m;SSL Mode=Require;\"")
        .replace("env:OLD", "env:METRICS");
    assert_eq!(String::from_utf8(bytes).unwrap(), expected);
}

#[test]
fn rewriting_what_was_rewritten_changes_nothing() {
    let once = parse(NESTED).unwrap().rewritten(&moved()).unwrap();
    let again = parse(std::str::from_utf8(&once).unwrap()).unwrap();
    assert_eq!(again.rewritten(&moved()).unwrap(), once);
}

#[test]
fn a_token_that_is_another_one_is_told_and_not_shown() {
    let before = parse(NESTED).unwrap();
    let after = NESTED.replace("dpapi:AQAA", "dpapi:BQBB");
    let lines = before.changed_lines(after.as_bytes()).unwrap();
    assert_eq!(lines.len(), 1);
    assert!(lines[0].before.ends_with("<passwordRef>dpapi:…</passwordRef>"), "{lines:?}");
    assert!(lines[0].after.ends_with("<passwordRef>dpapi:… (another)</passwordRef>"), "{lines:?}");
    assert_eq!(before.changed_lines(NESTED.as_bytes()).unwrap(), []);
}

#[test]
fn pairs_that_take_turns_under_one_parent_are_told_apart() {
    let text = "<a><connectionString>Host=h;Database=x;Username=u</connectionString>\
                <passwordRef>env:X</passwordRef>\
                <connectionString>Host=h;Database=y;Username=u</connectionString>\
                <passwordRef>env:Y</passwordRef></a>";
    let named = parse(text).unwrap().named().unwrap();
    assert_eq!(named[0].password_ref.to_string(), "env:X");
    assert_eq!(named[1].password_ref.to_string(), "env:Y");
    let own = "<a><connectionString passwordRef='env:X'>Host=h;Database=x;Username=u</connectionString>\
               <passwordRef>env:Z</passwordRef></a>";
    assert!(
        why(own).contains("column 102: a passwordRef belongs to no connectionString"),
        "{}",
        why(own)
    );
}

#[test]
fn what_is_not_understood_is_named_with_line_and_column() {
    let string = "<connectionString>Host=h;Database=x;Username=u</connectionString>";
    let cases = [
        (
            "<a>\n".to_owned() + string + "</a>",
            "line 2, column 19: a connectionString has no passwordRef",
        ),
        (format!("<a>{string}<passwordRef>x</passwordRef></a>"), "neither env: nor dpapi:"),
        (
            format!("<a>{string}<passwordRef>env:</passwordRef></a>"),
            "no name that a variable can have",
        ),
        (format!("<a>{string}<passwordRef>dpapi:#</passwordRef></a>"), "isn't followed by Base64"),
        (
            format!("<a>{string}{string}<passwordRef>env:X</passwordRef></a>"),
            "it isn't clear which",
        ),
        (
            format!("<a>{string}<passwordRef><b/></passwordRef></a>"),
            "holds something else than text",
        ),
        (format!("<a>{string}<passwordRef>env:X</passwordRef>"), "isn't well-formed XML"),
        ("<!DOCTYPE a [<!ENTITY x 'y'>]><a/>".to_owned(), "isn't well-formed XML"),
        ("<a/>".to_owned(), "there is no connectionString in it"),
        (
            "<a connectionString='Host=h;Username=u' passwordRef='env:X'/>".to_owned(),
            "it has no Database",
        ),
        ("<a connectionString='Host' passwordRef='env:X'/>".to_owned(), "a keyword has no ="),
        (
            "<a connectionString='Host=h;Port=x;DB=d;UID=u' passwordRef='env:X'/>".to_owned(),
            "no port",
        ),
        (
            format!(
                "<a><b>{string}<passwordRef>env:X</passwordRef></b>\n<b>{string}<passwordRef>env:Y</passwordRef></b></a>"
            ),
            "line 2, column 22: database x is named before, with other settings",
        ),
    ];
    for (text, expected) in cases {
        let said = why(&text);
        assert!(said.contains(expected), "{text}: {said}");
    }
}

#[test]
fn a_secret_is_in_no_message() {
    let said = why("<a connectionString='Host=h;Password=hush;Port' passwordRef='env:X'/>");
    assert!(!said.contains("hush"), "{said}");
    assert!(!format!("{:?}", PasswordRef::Dpapi("hush".to_owned())).contains("hush"));
}

#[test]
fn a_line_that_changes_shows_no_other_secret() {
    let text = "<a><!-- hush0 --><mail key=\"hush1\">hush2</mail>\n<db token='hush3' \
                connectionString='Host=h;DB=webstream_iam;UID=u;SSL Password=hush4;PWD=hush5' \
                passwordRef='env:X'/><b>hush6</b><![CDATA[hush7]]></a>";
    let configuration = parse(text).unwrap();
    let bytes = configuration.rewritten(&moved()).unwrap();
    let lines = configuration.changed_lines(&bytes).unwrap();
    assert_eq!((lines.len(), lines[0].number), (1, 2));
    assert!(lines[0].after.contains("Host=db.rds.example;DB=webstream_iam"), "{lines:?}");
    assert!(lines[0].before.contains("passwordRef='env:X'"), "{lines:?}");
    assert!(!format!("{lines:?}").contains("hush"), "{lines:?}");
}

#[test]
fn a_string_under_another_name_that_leads_to_the_same_server_is_named() {
    let pair = "<b connectionString='Host=h;DB=x;UID=u' passwordRef='env:X'/>";
    for other in [
        "<c dsn='server=H;Database=y;User Id=u'/>",
        "<c>\n Host=h;DB=y;UID=u\n</c>",
        "<add key='x' value='UID=u;Host=h;DB=y;Password=hush'/>",
    ] {
        let said = why(&format!("<a>{pair}\n{other}</a>"));
        assert!(said.contains("isn't called connectionString"), "{said}");
        assert!(said.contains(": line 2") || said.contains(": line 3"), "{said}");
        assert!(!said.contains("hush"), "{said}");
    }
    for other in ["<c dsn='Server=sql;Database=y;User Id=u'/>", "<c>Host=h</c>", "<c d='x'/>"] {
        parse(&format!("<a>{pair}{other}</a>")).unwrap();
    }
}

#[test]
fn another_setting_is_found_however_it_is_written() {
    let text = NESTED.replace(
        "</app>",
        "<retentionDays>30</retentionDays><a RetentionDays='14'/><add key='retentionDays' value='7'/></app>",
    );
    assert_eq!(parse(&text).unwrap().settings("retentionDays"), ["30", "14", "7"]);
    assert!(parse(NESTED).unwrap().settings("retentionDays").is_empty());
}
