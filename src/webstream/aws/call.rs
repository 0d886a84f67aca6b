//! One signed call (AWS Signature Version 4), whatever the service.

use std::time::{Duration, SystemTime};

use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;

use crate::error::{Error, Kind, Result};

use super::answer::Refusal;
use super::{Aws, Service, all_words};

/// An answer is here within this time.
const PATIENCE: Duration = Duration::from_secs(20);
/// What may pass is tried again after these pauses.
const PAUSES: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(2)];
/// No answer that we ask for is longer.
const MOST_BYTES: usize = 4 << 20;

/// What a service is sent.
pub(super) struct Question {
    pub(super) service: Service,
    /// The action that the header X-Amz-Target names, where the body doesn't.
    pub(super) target: Option<&'static str>,
    pub(super) content_type: &'static str,
    pub(super) body: String,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// The service says why.
    Refused(Refusal),
    /// It wasn't reached.
    Unreached(Error),
}

impl Aws {
    /// Asks, and asks again where what fails may pass: a question has the same effect twice as once.
    pub(super) async fn ask(&self, doing: &str, question: &Question) -> Result<String, Failure> {
        let mut pauses = PAUSES.iter();
        loop {
            let failure = match self.ask_once(doing, question).await {
                Ok(text) => return Ok(text),
                Err(failure) => failure,
            };
            match pauses.next() {
                Some(pause) if failure.may_pass() => tokio::time::sleep(*pause).await,
                _ => return Err(failure),
            }
        }
    }

    async fn ask_once(&self, doing: &str, question: &Question) -> Result<String, Failure> {
        let request = self.signed(doing, question).map_err(Failure::Unreached)?;
        let unreached = |words: String| {
            let endpoint = self.endpoint(question.service);
            let hint = format!("check that {endpoint} is reached from here, then run again");
            let error = Error::new(Kind::Connect, doing).because(words).hint(hint);
            Failure::Unreached(error)
        };
        let answered = async {
            let response = self.connector.call(request).await.map_err(|e| all_words(&e))?;
            let status = response.status();
            let text = bounded_text(ByteStream::new(response.into_body())).await?;
            Ok::<_, String>((status, text))
        };
        let answered = tokio::time::timeout(PATIENCE, answered).await;
        let (status, text) = answered
            .unwrap_or_else(|_| Err(format!("no answer in {} s", PATIENCE.as_secs())))
            .map_err(unreached)?;
        match status.is_success() {
            true => Ok(text),
            false => Err(Failure::Refused(Refusal::read(status.as_u16(), &text))),
        }
    }

    fn signed(&self, doing: &str, question: &Question) -> Result<HttpRequest> {
        let endpoint = self.endpoint(question.service);
        let unfit = |words: String| {
            Error::usage(doing)
                .because(format!("{endpoint}: {words}"))
                .hint("mend AWS_ENDPOINT_URL, or the profile's endpoint_url")
        };
        let uri: http::Uri = endpoint.parse().map_err(|_| unfit("is no URL".to_owned()))?;
        let host = uri.authority().ok_or_else(|| unfit("names no host".to_owned()))?;
        if uri.scheme_str() != Some("https") && !is_loopback(host.host()) {
            return Err(unfit("passwords would go there in the open".to_owned()));
        }
        let mut request = http::Request::post(&uri)
            .header("host", host.as_str())
            .header("content-type", question.content_type);
        if let Some(target) = question.target {
            request = request.header("x-amz-target", target);
        }
        let mut request = request
            .body(SdkBody::from(question.body.as_str()))
            .map_err(|error| unfit(error.to_string()))?;
        let identity = self.credentials.clone().into();
        let parameters = SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(question.service.name())
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build();
        let parameters = parameters.map_err(|error| unfit(error.to_string()))?.into();
        let headers = request.headers().iter();
        let headers =
            headers.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let body = SignableBody::Bytes(question.body.as_bytes());
        let (instructions, _) = SignableRequest::new("POST", uri.to_string(), headers, body)
            .and_then(|request| sign(request, &parameters))
            .map_err(|error| unfit(all_words(&error)))?
            .into_parts();
        instructions.apply_to_request_http1x(&mut request);
        HttpRequest::try_from(request).map_err(|error| unfit(all_words(&error)))
    }
}

impl Failure {
    fn may_pass(&self) -> bool {
        match self {
            Failure::Refused(refusal) => refusal.may_pass(),
            Failure::Unreached(error) => error.kind() == Kind::Connect,
        }
    }

    /// The failure as an error; `hint` is for a refusal.
    pub(super) fn into_error(self, doing: &str, hint: impl Into<String>) -> Error {
        match self {
            Failure::Unreached(error) => error,
            Failure::Refused(refusal) => {
                Error::new(Kind::Refused, doing).because(refusal.to_string()).hint(hint)
            }
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

async fn bounded_text(mut stream: ByteStream) -> Result<String, String> {
    let mut bytes = Vec::new();
    while let Some(part) = stream.next().await {
        bytes.extend_from_slice(&part.map_err(|error| all_words(&error))?);
        if bytes.len() > MOST_BYTES {
            return Err(format!("the answer is longer than {MOST_BYTES} bytes"));
        }
    }
    String::from_utf8(bytes).map_err(|_| "the answer isn't UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_asked_in_the_open() {
        for host in ["localhost", "127.0.0.1", "[::1]"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["localhost.example", "10.0.0.1", "rds.eu-west-2.amazonaws.com"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
