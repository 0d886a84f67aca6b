//! What a service says that does not do as it is asked: in JSON, or in XML.

use std::fmt;

use roxmltree::Document;
use serde_json::Value;

use super::xml::{is, text_of};

/// Codes of what may pass (AWS SDKs and Tools Reference Guide, "Retry behavior").
const PASSING: [&str; 7] = [
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestLimitExceeded",
    "TooManyRequestsException",
    "InternalServiceError",
    "RequestTimeout",
];

/// A service's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: String,
    words: String,
    status: u16,
}

impl Refusal {
    /// Reads it.
    pub(super) fn read(status: u16, text: &str) -> Refusal {
        let (code, words) = in_json(text).or_else(|| in_xml(text)).unwrap_or_default();
        Refusal { code, words, status }
    }

    pub(super) fn may_pass(&self) -> bool {
        self.status >= 500 || PASSING.contains(&self.code.as_str())
    }

    /// What to do about it, where the service's word says so little.
    pub(super) fn hint(&self, permission: &str) -> String {
        match self.code.as_str() {
            "SignatureDoesNotMatch"
            | "InvalidSignatureException"
            | "InvalidClientTokenId"
            | "UnrecognizedClientException"
            | "IncompleteSignature"
            | "AuthFailure" => {
                "check the AWS credentials and this machine's clock: `aws sts get-caller-identity`"
                    .to_owned()
            }
            "ExpiredToken" | "ExpiredTokenException" => {
                "the AWS credentials have expired: sign in again, then run again".to_owned()
            }
            _ => format!("allow {permission} to this AWS identity, then run again"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code.as_str(), self.words.as_str()) {
            ("", _) => write!(f, "it answers {} and doesn't say why", self.status),
            (code, "") => f.write_str(code),
            (code, words) => write!(f, "{code}: {words}"),
        }
    }
}

fn in_json(text: &str) -> Option<(String, String)> {
    let value: Value = serde_json::from_str(text).ok()?;
    // `com.amazonaws.…#ResourceNotFoundException`
    let code = value.get("__type")?.as_str()?.rsplit('#').next()?.to_owned();
    let words = value.get("message").or(value.get("Message")).and_then(Value::as_str);
    Some((code, words.unwrap_or_default().to_owned()))
}

fn in_xml(text: &str) -> Option<(String, String)> {
    let document = Document::parse(text).ok()?;
    let error = document.descendants().find(|node| is(*node, "Error"))?;
    let words = text_of(error, "Message").unwrap_or_default();
    Some((text_of(error, "Code")?.to_owned(), words.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_read_in_either_language() {
        let json = r##"{"__type":"com.amazonaws.x#AccessDeniedException","Message":"no"}"##;
        assert_eq!(Refusal::read(400, json).to_string(), "AccessDeniedException: no");
        let rds = "<ErrorResponse xmlns='http://x'><Error><Type>Sender</Type><Code>AccessDenied</Code>\
                   <Message>no</Message></Error></ErrorResponse>";
        assert_eq!(Refusal::read(403, rds).to_string(), "AccessDenied: no");
        let ec2 = "<Response><Errors><Error><Code>UnauthorizedOperation</Code></Error></Errors>\
                   </Response>";
        assert_eq!(Refusal::read(403, ec2).to_string(), "UnauthorizedOperation");
        let other = Refusal::read(502, "<html>Bad Gateway");
        assert_eq!(other.to_string(), "it answers 502 and doesn't say why");
        assert!(other.may_pass() && !Refusal::read(400, json).may_pass());
    }
}
