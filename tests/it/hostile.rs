//! Servers that mean harm, asked by the program itself: each ends in an error within seconds, in
//! little memory, without a panic, and hears no password it hasn't earned.

use std::time::Duration;

use crate::kit::impostor::{Client, Ended, PASSWORD, Played, column, message, run, server};

/// What the program may take at most: a bundle of roots, buffers, and nothing that a server chooses.
const MOST_MEMORY_KB: u64 = 200 * 1024;

type Part = fn(&mut Client) -> Played;

/// Asks each server for the status of its job, and fails unless all ends as it should.
fn assert_all_refused(parts: &[(&str, Part, &str)]) {
    let mut wrong = String::new();
    for (name, part, says) in parts {
        let (conninfo, heard) = server(*part);
        let ended = run(&["status", "--target", &conninfo]);
        let heard = String::from_utf8_lossy(&heard.lock().unwrap()).into_owned();
        let told = matches!(ended.code, Some(3..=5)) && ended.said.contains(says);
        let quiet = !ended.said.contains("panicked") && !ended.said.contains(PASSWORD);
        let small = ended.peak_kb < MOST_MEMORY_KB && ended.said.len() < 100_000;
        if !(told && quiet && small && !heard.contains(PASSWORD)) {
            let Ended { code, mut said, peak_kb, took } = ended;
            said.truncate(1000);
            wrong += &format!("{name}: {code:?}, {peak_kb} KB, {took:?}, {said}\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn a_greeting_that_makes_no_sense_is_refused() {
    assert_all_refused(&[
        (
            "a length beyond any",
            |c| {
                c.startup()?;
                c.say(b"R\x7f\xff\xff\xff")
            },
            "length",
        ),
        (
            "a negative length",
            |c| {
                c.startup()?;
                c.say(b"R\xff\xff\xff\xff")
            },
            "length",
        ),
        (
            "a length below its own",
            |c| {
                c.startup()?;
                c.say(b"R\0\0\0\x03")
            },
            "length",
        ),
        (
            "cut off",
            |c| {
                c.startup()?;
                c.say(b"R\0\0\0\x08\0")
            },
            "closed the connection",
        ),
        (
            "silence",
            |c| {
                c.startup()?;
                c.say(b"R\0\0")?;
                c.hear().map(drop)
            },
            "no answer",
        ),
        ("nothing at all", |_| Ok(()), "closed the connection"),
        ("another protocol", |c| c.say(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "it answered 'H'"),
        (
            "TLS that is none",
            |c| {
                c.hear_body()?;
                c.say(b"S not at all a handshake")
            },
            "connecting",
        ),
        (
            "more behind the N",
            |c| {
                c.hear_body()?;
                c.say(b"NR\0\0\0\x08\0\0\0\0")?;
                c.hear().map(drop)
            },
            "connecting",
        ),
        (
            "notices without end",
            |c| {
                c.startup()?;
                c.repeat(|n| message(b'N', format!("SWARNING\0C01000\0Mno. {n}\0\0").as_bytes()))
            },
            "no answer",
        ),
        (
            "parameters without end",
            |c| {
                c.startup()?;
                c.repeat(|n| message(b'S', format!("p{n}\0{}\0", "x".repeat(1000)).as_bytes()))
            },
            "parameters without end",
        ),
        (
            "one parameter without end",
            |c| {
                c.startup()?;
                c.repeat(|_| message(b'S', format!("p\0{}\0", "x".repeat(60_000)).as_bytes()))
            },
            "no answer",
        ),
        (
            "an error without fields",
            |c| {
                c.startup()?;
                c.send(b'E', b"\0")
            },
            "SQLSTATE",
        ),
        (
            "an error without end",
            |c| {
                c.startup()?;
                c.send(b'E', b"Mabc")
            },
            "without its end",
        ),
        (
            "an error of a gigabyte",
            |c| {
                c.startup()?;
                c.say(b"E\x3f\xff\xff\xffM")?;
                c.repeat(|_| vec![b'x'; 100_000])
            },
            "xxx…",
        ),
        (
            "a message of no kind",
            |c| {
                c.startup()?;
                c.send(b'\x1b', b"")
            },
            "where authentication",
        ),
        (
            "no version",
            |c| {
                c.startup()?;
                c.send(b'R', &[0; 4])?;
                c.send(b'Z', b"I")
            },
            "version",
        ),
        (
            "a version beyond any",
            |c| {
                c.startup()?;
                c.send(b'R', &[0; 4])?;
                c.send(b'S', b"server_version\x0099999999999999.99999999999\0")?;
                c.send(b'Z', b"I")
            },
            "version",
        ),
        (
            "keys cut short",
            |c| {
                c.startup()?;
                c.send(b'R', &[0; 4])?;
                c.send(b'K', b"\0\0")
            },
            "shorter than",
        ),
        (
            "another version of the protocol",
            |c| {
                c.startup()?;
                c.send(b'v', b"\xff\xff\xff\xff\xff\xff\xff\xff")
            },
            "where authentication belongs",
        ),
    ]);
}

#[test]
fn a_server_that_proves_nothing_learns_nothing() {
    assert_all_refused(&[
        (
            "too many iterations",
            |c| {
                let nonce = c.scram()?;
                let challenge = format!("\0\0\0\x0br={nonce}x,s=c2FsdA==,i=4000000000");
                c.send(b'R', challenge.as_bytes())?;
                c.hear().map(drop)
            },
            "iteration count",
        ),
        (
            "another's nonce",
            |c| {
                c.scram()?;
                c.send(b'R', b"\0\0\0\x0br=abcdefgh,s=c2FsdA==,i=4096")?;
                c.hear().map(drop)
            },
            "nonce",
        ),
        (
            "a salt that is none",
            |c| {
                let nonce = c.scram()?;
                c.send(b'R', format!("\0\0\0\x0br={nonce}x,s=%%%,i=4096").as_bytes())?;
                c.hear().map(drop)
            },
            "connecting",
        ),
        (
            "a wrong proof",
            |c| {
                let nonce = c.scram()?;
                c.send(b'R', format!("\0\0\0\x0br={nonce}x,s=c2FsdA==,i=4096").as_bytes())?;
                c.hear()?;
                c.send(b'R', b"\0\0\0\x0cv=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")?;
                c.send(b'R', &[0; 4])
            },
            "could not prove",
        ),
        (
            "no proof",
            |c| {
                let nonce = c.scram()?;
                c.send(b'R', format!("\0\0\0\x0br={nonce}x,s=c2FsdA==,i=4096").as_bytes())?;
                c.hear()?;
                c.send(b'R', &[0; 4])
            },
            "out of order",
        ),
        (
            "clear text after SCRAM",
            |c| {
                c.scram()?;
                c.send(b'R', b"\0\0\0\x03")?;
                c.hear().map(drop)
            },
            "out of order",
        ),
        (
            "SCRAM's end first",
            |c| {
                c.startup()?;
                c.send(b'R', b"\0\0\0\x0cv=x")
            },
            "unknown method",
        ),
        (
            "no mechanism we know",
            |c| {
                c.startup()?;
                c.send(b'R', b"\0\0\0\x0aX-PLAIN\0\0")
            },
            "no way",
        ),
        (
            "mechanisms without end",
            |c| {
                c.startup()?;
                c.send(b'R', b"\0\0\0\x0aSCRAM")
            },
            "without its end",
        ),
        (
            "MD5 without salt",
            |c| {
                c.startup()?;
                c.send(b'R', b"\0\0\0\x05")
            },
            "shorter than",
        ),
        (
            "GSSAPI",
            |c| {
                c.startup()?;
                c.send(b'R', b"\0\0\0\x07")
            },
            "GSSAPI",
        ),
    ]);
}

#[test]
fn an_answer_that_makes_no_sense_is_refused() {
    assert_all_refused(&[
        (
            "COPY data outside COPY",
            |c| {
                c.welcome()?;
                c.repeat(|_| message(b'd', &[b'x'; 1000]))
            },
            "where none belongs",
        ),
        (
            "an error of a gigabyte",
            |c| {
                c.welcome()?;
                c.say(b"E\x3f\xff\xff\xffSERROR\0C42000\0M")?;
                c.stream.set_write_timeout(Some(Duration::from_secs(1)))?;
                c.repeat(|_| vec![b'\x1b'; 100_000])
            },
            "setting the session up",
        ),
        (
            "a notice of a gigabyte",
            |c| {
                c.welcome()?;
                c.say(b"N\x3f\xff\xff\xffSWARNING\0C42000\0M")?;
                c.repeat(|_| vec![b'x'; 100_000])
            },
            "setting the session up",
        ),
        (
            "another answer of a gigabyte",
            |c| {
                c.welcome()?;
                c.say(b"C\x3f\xff\xff\xff")?;
                c.repeat(|_| vec![b'x'; 100_000])
            },
            "claims a length",
        ),
        (
            "an unknown state",
            |c| {
                c.welcome()?;
                c.send(b'Z', b"?")
            },
            "transaction status",
        ),
        (
            "no state",
            |c| {
                c.welcome()?;
                c.send(b'Z', b"")
            },
            "transaction status",
        ),
        (
            "a COPY to a query",
            |c| {
                c.welcome()?;
                c.send(b'H', b"\x7f\xff\xff")?;
                c.send(b'Z', b"I")?;
                c.send(b'd', b"x")
            },
            "reading the ledger",
        ),
        (
            "rows of more columns",
            |c| {
                c.asked()?;
                c.say(&column(25))?;
                c.send(b'D', b"\0\x02\0\0\0\x01x\0\0\0\x01y")?;
                c.hear().map(drop)
            },
            "reading the ledger",
        ),
        (
            "rows cut short",
            |c| {
                c.asked()?;
                c.say(&column(25))?;
                c.send(b'D', b"\0\x01\0\0\0\x09x")?;
                c.hear().map(drop)
            },
            "reading the ledger",
        ),
        (
            "another type",
            |c| {
                c.asked()?;
                c.say(&column(25))?;
                c.send(b'D', b"\0\x01\0\0\0\x01x")?;
                c.send(b'C', b"SELECT 1\0")?;
                c.send(b'Z', b"I")?;
                c.hear().map(drop)
            },
            "reading the ledger",
        ),
        (
            "a type of nobody's",
            |c| {
                c.asked()?;
                c.say(&column(99_999))?;
                c.hear().map(drop)
            },
            "reading the ledger",
        ),
        (
            "columns without end",
            |c| {
                c.asked()?;
                c.send(b'T', b"\xff\xffx\0")?;
                c.hear().map(drop)
            },
            "reading the ledger",
        ),
        (
            "a length beyond any",
            |c| {
                c.asked()?;
                c.say(b"T\x7f\xff\xff\xff")?;
                c.hear().map(drop)
            },
            "reading the ledger",
        ),
        (
            "a row that is none",
            |c| {
                c.asked()?;
                c.send(b'Z', b"I")?;
                c.hear().map(drop)
            },
            "reading the ledger",
        ),
    ]);
}

#[test]
fn what_no_server_answers_is_an_error_of_the_command_and_no_panic() {
    let all_is_text: Part = |c| {
        c.welcome()?;
        c.send(b'C', b"SET\0")?;
        c.send(b'Z', b"I")?;
        loop {
            match c.hear()?.0 {
                b'Q' => {}
                b'S' => {
                    let row = message(b'D', b"\0\x01\0\0\0\x01x");
                    let all = [&b"1\0\0\0\x042\0\0\0\x04"[..], &column(25), &row].concat();
                    c.say(&all)?;
                }
                _ => continue,
            }
            c.send(b'C', b"SELECT 1\0")?;
            c.send(b'Z', b"I")?;
        }
    };
    let ((source, _), (target, _)) = (server(all_is_text), server(all_is_text));
    for command in ["check", "migrate", "verify", "plan"] {
        let ended = run(&[command, "--source", &source, "--target", &target]);
        assert!(matches!(ended.code, Some(3..=5)), "{command}: {:?} {}", ended.code, ended.said);
        assert!(!ended.said.contains("panicked"), "{command}: {}", ended.said);
        assert!(!ended.said.contains(PASSWORD), "{command}: {}", ended.said);
    }
}

#[test]
fn rows_without_end_come_to_an_end() {
    let endless: Part = |c| {
        c.asked()?;
        c.say(&column(25))?;
        let row = [&b"\0\x01\0\x10\0\0"[..], &vec![b'x'; 1 << 20]].concat();
        let row = message(b'D', &row);
        c.repeat(|_| row.clone())
    };
    let (conninfo, _heard) = server(endless);
    let ended = run(&["status", "--target", &conninfo]);
    assert!(ended.said.contains("rows without end"), "{:?} {}", ended.code, ended.said);
    assert!(ended.peak_kb < 2_500_000, "{} KB", ended.peak_kb);
}
