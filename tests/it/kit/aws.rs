//! A stand-in for AWS: Secrets Manager as far as passwords need it, and answers of other services as a
//! test words them. It refuses what isn't signed as it would sign it (AWS Signature Version 4).

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const KEY_ID: &str = "AKIDEXAMPLE";
const KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const REGION: &str = "eu-west-2";

pub(crate) struct AwsStandIn {
    port: u16,
    state: Arc<Mutex<State>>,
}

/// What it holds, and how it behaves.
#[derive(Default)]
pub(crate) struct State {
    /// By name: what each holds, and the token that it was made with.
    pub(crate) secrets: BTreeMap<String, (String, String)>,
    /// What was asked, in turn.
    pub(crate) asked: Vec<String>,
    /// What this identity may not do.
    pub(crate) denied: BTreeSet<&'static str>,
    /// Actions that are done without an answer, once each.
    pub(crate) answers_lost: BTreeSet<&'static str>,
    /// Secrets that somebody makes just before we do, with what they hold.
    pub(crate) overtaken: BTreeMap<String, String>,
    /// Answers in XML, by action.
    pub(crate) answers: BTreeMap<&'static str, String>,
}

struct Request {
    path: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl AwsStandIn {
    pub(crate) fn start() -> AwsStandIn {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        // It ends with the test's process.
        std::thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let shared = shared.clone();
                std::thread::spawn(move || while serve(&socket, &shared).is_some() {});
            }
        });
        AwsStandIn { port, state }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// What AWS's tools would be led here by.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        let endpoint = format!("http://127.0.0.1:{}", self.port);
        let all = [
            ("AWS_ACCESS_KEY_ID", KEY_ID),
            ("AWS_SECRET_ACCESS_KEY", KEY),
            ("AWS_SESSION_TOKEN", "a session's token"),
            ("AWS_REGION", REGION),
            ("AWS_ENDPOINT_URL", &endpoint),
        ];
        all.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    }
}

/// Answers one request; none where the connection ends.
fn serve(mut socket: &TcpStream, shared: &Mutex<State>) -> Option<()> {
    let request = Request::read(socket)?;
    let (action, service) = request.action();
    let mut state = shared.lock().unwrap();
    state.asked.push(action.clone());
    let (status, answer) = match request.flaw(service) {
        Some(flaw) => (403, refusal(service, "SignatureDoesNotMatch", &flaw)),
        None if state.denied.contains(action.as_str()) => {
            let code = match service {
                "secretsmanager" => "AccessDeniedException",
                "ec2" => "UnauthorizedOperation",
                _ => "AccessDenied",
            };
            (403, refusal(service, code, &format!("you may not perform {service}:{action}")))
        }
        None if service == "secretsmanager" => state.secret(&action, &request.body),
        None => match state.answers.get(action.as_str()) {
            Some(answer) => (200, answer.clone()),
            None => (500, String::new()),
        },
    };
    if state.answers_lost.remove(action.as_str()) {
        return None;
    }
    let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", answer.len());
    socket.write_all((head + &answer).as_bytes()).ok()
}

fn refusal(service: &str, code: &str, words: &str) -> String {
    match service {
        "secretsmanager" => json!({ "__type": code, "Message": words }).to_string(),
        "ec2" => format!(
            "<Response><Errors><Error><Code>{code}</Code><Message>{words}</Message></Error></Errors>\
             </Response>"
        ),
        _ => format!(
            "<ErrorResponse><Error><Code>{code}</Code><Message>{words}</Message></Error>\
             </ErrorResponse>"
        ),
    }
}

impl State {
    fn secret(&mut self, action: &str, body: &[u8]) -> (u16, String) {
        let body: Value = serde_json::from_slice(body).unwrap();
        let said = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
        let refused = |code: &str| (400, refusal("secretsmanager", code, "says Secrets Manager"));
        match action {
            "GetSecretValue" => match self.secrets.get(&said("SecretId")) {
                Some((value, _)) => (200, json!({ "SecretString": value }).to_string()),
                None => refused("ResourceNotFoundException"),
            },
            "CreateSecret" => {
                let (name, value, token) =
                    (said("Name"), said("SecretString"), said("ClientRequestToken"));
                if token.len() < 32 {
                    return refused("InvalidParameterException");
                }
                if let Some(other) = self.overtaken.remove(&name) {
                    self.secrets.insert(name.clone(), (other, String::new()));
                }
                let wished = (value, token);
                match self.secrets.get(&name) {
                    Some(there) if *there != wished => refused("ResourceExistsException"),
                    _ => {
                        self.secrets.insert(name, wished);
                        (200, "{}".to_owned())
                    }
                }
            }
            _ => refused("UnknownOperationException"),
        }
    }
}

impl Request {
    fn read(socket: &TcpStream) -> Option<Request> {
        let mut reader = BufReader::new(socket);
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let path = line.strip_prefix("POST ")?.split(' ').next()?.to_owned();
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
        reader.read_exact(&mut body).ok()?;
        Some(Request { path, headers, body })
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// What is asked, and of whom.
    fn action(&self) -> (String, &'static str) {
        if let Some(action) = self.header("x-amz-target").strip_prefix("secretsmanager.") {
            return (action.to_owned(), "secretsmanager");
        }
        let body = String::from_utf8_lossy(&self.body);
        let action = body.split('&').find_map(|pair| pair.strip_prefix("Action="));
        let action = action.unwrap_or_default().to_owned();
        let service = match action.as_str() {
            "DescribeSecurityGroups" => "ec2",
            "GetMetricStatistics" => "monitoring",
            _ => "rds",
        };
        (action, service)
    }

    /// What is wrong with the signature.
    fn flaw(&self, service: &str) -> Option<String> {
        let authorization = self.header("authorization");
        let part = |name: &str| {
            let parts = authorization.strip_prefix("AWS4-HMAC-SHA256 ")?.split(", ");
            parts.into_iter().find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
        };
        let (Some(credential), Some(signed), Some(signature)) =
            (part("Credential"), part("SignedHeaders"), part("Signature"))
        else {
            return Some("it isn't signed".to_owned());
        };
        let names: Vec<&str> = signed.split(';').collect();
        for name in ["host", "x-amz-date", "x-amz-security-token", "content-type"] {
            if !names.contains(&name) {
                return Some(format!("{name} isn't signed"));
            }
        }
        let at = self.header("x-amz-date");
        let scope = format!("{}/{REGION}/{service}/aws4_request", at.get(..8)?);
        if credential != format!("{KEY_ID}/{scope}") {
            return Some(format!("{credential} isn't of {scope}"));
        }
        let headers: String =
            names.iter().map(|name| format!("{name}:{}\n", self.header(name))).collect();
        let canonical = format!(
            "POST\n{}\n\n{headers}\n{signed}\n{}",
            self.path,
            hex(&Sha256::digest(&self.body))
        );
        let to_sign =
            format!("AWS4-HMAC-SHA256\n{at}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
        let start = format!("AWS4{KEY}").into_bytes();
        let key = scope.split('/').fold(start, |key, part| hmac(&key, part.as_bytes()));
        let right = hex(&hmac(&key, to_sign.as_bytes()));
        (right != signature).then(|| "the signature isn't what we calculate".to_owned())
    }
}

/// HMAC-SHA256 (RFC 2104), of keys that are no longer than a block.
fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let block = |with: u8| {
        let mut block = [with; 64];
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        block
    };
    let inner = Sha256::new().chain_update(block(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(block(0x5c)).chain_update(inner).finalize().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
