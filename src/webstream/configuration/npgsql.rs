//! Npgsql's connection strings: read as .NET reads them, and changed in place, so that whatever isn't
//! meant stays as it was typed.
//!
//! Sources: .NET's DbConnectionOptions.Common.cs for the grammar, Npgsql's
//! NpgsqlConnectionStringBuilder.cs for the keywords.

use std::ops::Range;

use super::edit::Edit;

/// What is understood or changed of a connection string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keyword {
    /// The server's name or address.
    Host,
    /// Its port.
    Port,
    /// The database.
    Database,
    /// The role.
    Username,
    /// Its password, in the open.
    Password,
    /// Whether TLS is used, and what is verified.
    SslMode,
    /// Whether any certificate will do.
    TrustServerCertificate,
    /// The file of the authorities that are trusted.
    RootCertificate,
    /// How many connections a process opens at most.
    MaximumPoolSize,
    /// Whether there is a pool at all.
    Pooling,
    /// Seconds until a connection must stand.
    Timeout,
    /// What a session calls itself.
    ApplicationName,
}

/// All spellings that Npgsql takes, whatever their case; a keyword's first one is what we write.
const SPELLINGS: [(&str, Keyword); 24] = [
    ("Host", Keyword::Host),
    ("Server", Keyword::Host),
    ("Port", Keyword::Port),
    ("Database", Keyword::Database),
    ("DB", Keyword::Database),
    ("Username", Keyword::Username),
    ("User Name", Keyword::Username),
    ("UserId", Keyword::Username),
    ("User Id", Keyword::Username),
    ("UID", Keyword::Username),
    ("Password", Keyword::Password),
    ("PSW", Keyword::Password),
    ("PWD", Keyword::Password),
    ("SSL Mode", Keyword::SslMode),
    ("SslMode", Keyword::SslMode),
    ("Trust Server Certificate", Keyword::TrustServerCertificate),
    ("TrustServerCertificate", Keyword::TrustServerCertificate),
    ("Root Certificate", Keyword::RootCertificate),
    ("RootCertificate", Keyword::RootCertificate),
    ("Maximum Pool Size", Keyword::MaximumPoolSize),
    ("MaxPoolSize", Keyword::MaximumPoolSize),
    ("Pooling", Keyword::Pooling),
    ("Timeout", Keyword::Timeout),
    ("Application Name", Keyword::ApplicationName),
];

impl Keyword {
    fn of(name: &str) -> Option<Keyword> {
        let spelled = |(spelling, _): &&(&str, Keyword)| spelling.eq_ignore_ascii_case(name);
        SPELLINGS.iter().find(spelled).map(|(_, keyword)| *keyword)
    }

    /// How it is written.
    pub fn name(self) -> &'static str {
        let own = SPELLINGS.iter().find(|(_, keyword)| *keyword == self);
        own.map_or("", |(spelling, _)| spelling)
    }
}

/// Where a connection string makes no sense: bytes from its beginning, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// Where the setting begins.
    pub at: usize,
    /// What is wrong with it. Never a value.
    pub why: &'static str,
}

/// A connection string that was understood.
#[derive(Debug, Clone)]
pub struct ConnectionString {
    settings: Vec<Setting>,
    length: usize,
}

#[derive(Debug, Clone)]
struct Setting {
    keyword: Option<Keyword>,
    /// Whether its value is shown to nobody: a client's key may have a password, too.
    is_secret: bool,
    value: String,
    /// Where the value stands, with its quotes.
    value_at: Range<usize>,
    /// The whole setting, with the semicolon behind it.
    all: Range<usize>,
    /// Whether there is one.
    is_ended: bool,
}

impl ConnectionString {
    /// Reads a connection string.
    pub fn parse(text: &str) -> Result<ConnectionString, Malformed> {
        let mut reader = Reader { text, at: 0 };
        let mut settings = Vec::new();
        while reader.skip_between()? {
            settings.push(reader.setting()?);
        }
        Ok(ConnectionString { settings, length: text.len() })
    }

    /// A setting's value: of several, the last counts, and an empty one counts as none.
    pub fn get(&self, keyword: Keyword) -> Option<&str> {
        let last = self.settings.iter().rfind(|setting| setting.keyword == Some(keyword))?;
        (!last.value.is_empty()).then_some(last.value.as_str())
    }

    /// The edits after which each keyword has its new value, or isn't there. One that has it already
    /// isn't touched.
    pub fn changed(&self, changes: &[(Keyword, Option<&str>)]) -> Vec<Edit> {
        let mut edits = Vec::new();
        let mut added = String::new();
        let last = self.settings.last();
        // Where the last one goes, what is before it ends with a semicolon.
        let goes = |setting: &Setting| {
            changes
                .iter()
                .any(|(keyword, value)| setting.keyword == Some(*keyword) && value.is_none())
        };
        let is_ended = last.is_none_or(|last| last.is_ended || goes(last));
        for &(keyword, value) in changes {
            if self.get(keyword) == value && (value.is_some() || !self.is_named(keyword)) {
                continue;
            }
            let mut named = self.settings.iter().filter(|s| s.keyword == Some(keyword)).rev();
            match (value, named.next()) {
                (Some(value), Some(setting)) => {
                    edits.push(Edit::new(setting.value_at.clone(), quoted(value)));
                }
                (Some(value), None) => {
                    let setting = format!("{}={}", keyword.name(), quoted(value));
                    added += &if is_ended { format!("{setting};") } else { format!(";{setting}") };
                }
                (None, Some(setting)) => edits.push(Edit::new(setting.all.clone(), String::new())),
                (None, None) => {}
            }
            edits.extend(named.map(|setting| Edit::new(setting.all.clone(), String::new())));
        }
        if !added.is_empty() {
            let end = last.map_or(self.length, |last| last.all.end);
            edits.push(Edit::new(end..end, added));
        }
        edits.sort_by_key(|edit| (edit.range.start, edit.range.end));
        edits
    }

    /// The edits that leave out every password.
    pub(super) fn hidden(&self) -> Vec<Edit> {
        let secret = self.settings.iter().filter(|setting| setting.is_secret);
        secret.map(|setting| Edit::new(setting.value_at.clone(), "…".to_owned())).collect()
    }

    fn is_named(&self, keyword: Keyword) -> bool {
        self.settings.iter().any(|setting| setting.keyword == Some(keyword))
    }
}

/// A value as it has to be written.
fn quoted(value: &str) -> String {
    let is_plain = |c: char| !matches!(c, '"' | '\'' | '=' | ';') && !c.is_whitespace();
    if !value.is_empty() && value.chars().all(|c| is_plain(c) && !c.is_control()) {
        return value.to_owned();
    }
    match value.contains('"') && !value.contains('\'') {
        true => format!("'{value}'"),
        false => format!("\"{}\"", value.replace('"', "\"\"")),
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn advance(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn skip(&mut self, is_skipped: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&is_skipped) {
            self.advance();
        }
    }

    /// Goes to the next setting, if there is one. Zeros may only stand at the very end.
    fn skip_between(&mut self) -> Result<bool, Malformed> {
        self.skip(|c| c == ';' || c.is_whitespace());
        let start = self.at;
        if self.peek() == Some('\0') {
            self.skip(|c| c == '\0' || c.is_whitespace());
            return match self.peek() {
                None => Ok(false),
                Some(_) => Err(Malformed { at: start, why: "there is a zero byte in it" }),
            };
        }
        Ok(self.peek().is_some())
    }

    fn setting(&mut self) -> Result<Setting, Malformed> {
        let start = self.at;
        let wrong = |why| Malformed { at: start, why };
        let mut name = String::new();
        loop {
            match self.advance() {
                None => return Err(wrong("a keyword has no =")),
                // An = that belongs to the keyword is doubled.
                Some('=') if self.peek() == Some('=') => {
                    self.advance();
                    name.push('=');
                }
                Some('=') => break,
                Some(c) if c.is_control() && !c.is_whitespace() => {
                    return Err(wrong("a keyword has a control character in it"));
                }
                Some(c) => name.push(c),
            }
        }
        let name = name.trim_end();
        if name.is_empty() {
            return Err(wrong("there is an = without a keyword"));
        }
        self.skip(char::is_whitespace);
        let value_start = self.at;
        let value = match self.peek() {
            Some(quote @ ('"' | '\'')) => self.quoted(quote).map_err(wrong)?,
            _ => self.unquoted().map_err(wrong)?,
        };
        let value_at = value_start..self.at;
        self.skip(char::is_whitespace);
        let is_ended = match self.peek() {
            None | Some('\0') => false,
            Some(';') => {
                self.advance();
                true
            }
            Some(_) => return Err(wrong("there is something behind a quoted value")),
        };
        let keyword = Keyword::of(name);
        let is_secret = keyword == Some(Keyword::Password)
            || ["password", "pwd", "secret", "token"]
                .iter()
                .any(|word| name.to_ascii_lowercase().contains(word));
        Ok(Setting { keyword, is_secret, value, value_at, all: start..self.at, is_ended })
    }

    fn quoted(&mut self, quote: char) -> Result<String, &'static str> {
        self.advance();
        let mut value = String::new();
        loop {
            match self.advance() {
                None => return Err("a quoted value has no end"),
                Some('\0') => return Err("there is a zero byte in a value"),
                Some(c) if c == quote => match self.peek() == Some(quote) {
                    true => {
                        self.advance();
                        value.push(quote);
                    }
                    false => return Ok(value),
                },
                Some(c) => value.push(c),
            }
        }
    }

    fn unquoted(&mut self) -> Result<String, &'static str> {
        let rest = &self.text[self.at..];
        let ends = |c: char| c == ';' || (c.is_control() && !c.is_whitespace());
        let value = rest[..rest.find(ends).unwrap_or(rest.len())].trim_end();
        self.at += value.len();
        if value.ends_with(['"', '\'']) {
            return Err("a value ends in a quote that it doesn't begin with");
        }
        let behind = self.text[self.at..].trim_start().chars().next();
        if behind.is_some_and(|c| c.is_control() && c != '\0') {
            return Err("a value has a control character in it, and no quotes");
        }
        Ok(value.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::edit::applied;
    use super::*;

    fn read(text: &str) -> ConnectionString {
        ConnectionString::parse(text).unwrap()
    }

    #[test]
    fn aliases_quotes_and_spaces_are_read_as_dotnet_reads_them() {
        let text =
            " server = db.local ;PORT=5433;User Id='o''brien';pwd=\"a;b=\"\"c\"; SslMode=Require ";
        let string = read(text);
        assert_eq!(string.get(Keyword::Host), Some("db.local"));
        assert_eq!(string.get(Keyword::Port), Some("5433"));
        assert_eq!(string.get(Keyword::Username), Some("o'brien"));
        assert_eq!(string.get(Keyword::Password), Some("a;b=\"c"));
        assert_eq!(string.get(Keyword::SslMode), Some("Require"));
        assert_eq!(string.get(Keyword::Timeout), None);
    }

    #[test]
    fn of_a_setting_that_is_given_twice_the_last_counts() {
        let string = read("Host=a;Server=b;DB=x;Database=");
        assert_eq!(string.get(Keyword::Host), Some("b"));
        assert_eq!(string.get(Keyword::Database), None);
    }

    #[test]
    fn a_string_that_dotnet_refuses_is_refused() {
        for (text, at) in [
            ("Host", 0),
            ("Host=a;=b", 7),
            ("Host=a;Port='1", 7),
            ("Host='a'b", 0),
            ("Host=a\"", 0),
            ("Ho\u{1}st=a", 0),
            ("Host=a\u{1}", 0),
            ("Host=a\0Port=1", 6),
        ] {
            assert_eq!(ConnectionString::parse(text).unwrap_err().at, at, "{text:?}");
        }
        assert!(ConnectionString::parse("Host=a;\0\0 ").is_ok());
        assert!(ConnectionString::parse("a==b=c;;; ").is_ok());
    }

    #[test]
    fn only_what_is_meant_changes() {
        let text = "Host=127.0.0.1; port = 5432;Foo=b\"r;pwd=x;Username=u";
        let edits = read(text).changed(&[
            (Keyword::Host, Some("db.rds.example")),
            (Keyword::Port, Some("5432")),
            (Keyword::Password, None),
            (Keyword::SslMode, Some("VerifyFull")),
            (Keyword::RootCertificate, Some("C:\\Program Files\\rds.pem")),
        ]);
        assert_eq!(
            applied(text, &edits),
            "Host=db.rds.example; port = 5432;Foo=b\"r;Username=u;SSL Mode=VerifyFull;\
             Root Certificate=\"C:\\Program Files\\rds.pem\""
        );
    }

    #[test]
    fn what_comes_in_place_of_the_last_setting_follows_one_semicolon() {
        let text = "Host=h;Password=x";
        let edits = read(text).changed(&[(Keyword::Password, None), (Keyword::Port, Some("1"))]);
        assert_eq!(applied(text, &edits), "Host=h;Port=1;");
    }

    #[test]
    fn a_password_leaves_no_earlier_one_behind() {
        for text in ["Password=a;PWD=b;Host=h;", "Host=h;Password=a;psw=", "Password='a;b'"] {
            let edits = read(text).changed(&[(Keyword::Password, None)]);
            assert!(!applied(text, &edits).to_lowercase().contains('a'), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_again(value in "\\PC*", other in "[^\0\"']*", ended in any::<bool>()) {
            let other = quoted(&other);
            let text = format!("Unknown Thing={other}{}", if ended { ";" } else { "" });
            let edits = read(&text).changed(&[(Keyword::Password, Some(&value)), (Keyword::Host, Some("h"))]);
            let changed = applied(&text, &edits);
            prop_assert!(changed.starts_with(&text));
            let string = read(&changed);
            prop_assert_eq!(string.get(Keyword::Password).unwrap_or_default(), value);
            prop_assert_eq!(string.get(Keyword::Host), Some("h"));
            prop_assert_eq!(string.changed(&[(Keyword::Host, Some("h"))]).len(), 0);
        }

        #[test]
        fn nothing_that_is_read_makes_it_panic(text in "\\PC*|[a-z=;\"' \0\u{1}]*") {
            let _ = ConnectionString::parse(&text);
        }
    }
}
