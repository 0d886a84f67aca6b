//! AWS's own interface: it keeps the services' passwords, and knows of the target what the server itself
//! doesn't.
//!
//! Credentials, the region and endpoints are found as AWS's own tools find them. Every service is asked
//! by the same signed call: Secrets Manager in JSON, the others in forms, which they answer in XML.

mod answer;
mod call;
mod passwords;
pub(super) mod target;
mod xml;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder, Connector};
use aws_types::service_config::ServiceConfigKey;

use crate::error::{Error, Kind, Result};

pub(super) use passwords::Passwords;

const TLS: Provider = Provider::Rustls(CryptoMode::Ring);

/// A session with AWS, as its tools would have one here.
pub(super) struct Aws {
    config: SdkConfig,
    credentials: Credentials,
    region: String,
    connector: Connector,
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    SecretsManager,
    Rds,
    CloudWatch,
    Ec2,
}

/// Which region is asked where there are two.
#[derive(Debug, Clone, Copy)]
pub(super) enum Prefer<'a> {
    /// This one, which an endpoint's name has: what is asked of lies there.
    Named(Option<&'a str>),
    /// The one that AWS's tools are set to; this one where they are set to none.
    Set(Option<&'a str>),
}

impl Aws {
    /// Finds out who we are.
    pub(super) async fn open(region: Prefer<'_>) -> Result<Aws> {
        let http = Builder::new().tls_provider(TLS).build_https();
        let config = aws_config::defaults(BehaviorVersion::latest()).http_client(http).load().await;
        let set = config.region().map(Region::to_string);
        let region = match region {
            Prefer::Named(named) => named.map(str::to_owned).or(set),
            Prefer::Set(named) => set.or(named.map(str::to_owned)),
        };
        let region = region.ok_or_else(|| {
            Error::new(Kind::Refused, "looking for the AWS region")
                .because("neither the environment nor a profile has one")
                .hint("set AWS_REGION")
        })?;
        let doing = "looking for AWS credentials";
        let hint = "sign in as for the aws command (`aws sts get-caller-identity` says who you are), or \
                    set AWS_PROFILE";
        let provider = config
            .credentials_provider()
            .ok_or_else(|| Error::new(Kind::Refused, doing).because("there are none").hint(hint))?;
        let credentials = provider.provide_credentials().await.map_err(|error| {
            Error::new(Kind::Refused, doing).because(all_words(&error)).hint(hint)
        })?;
        let proxies = ProxyConfig::from_env();
        let connector = Connector::builder().proxy_config(proxies).tls_provider(TLS).build();
        Ok(Aws { config, credentials, region, connector })
    }

    /// Where a service answers: as AWS_ENDPOINT_URL_SERVICE or AWS_ENDPOINT_URL says, or a profile.
    fn endpoint(&self, service: Service) -> String {
        let key = ServiceConfigKey::builder()
            .service_id(service.id())
            .env("AWS_ENDPOINT_URL")
            .profile("endpoint_url")
            .build();
        let said = self.config.service_config().zip(key.ok());
        let said = said.and_then(|(all, key)| all.load_config(key));
        said.unwrap_or_else(|| {
            let china = if self.region.starts_with("cn-") { ".cn" } else { "" };
            format!("https://{}.{}.amazonaws.com{china}", service.name(), self.region)
        })
    }
}

impl Service {
    /// Its name in endpoints and signatures.
    fn name(self) -> &'static str {
        match self {
            Service::SecretsManager => "secretsmanager",
            Service::Rds => "rds",
            Service::CloudWatch => "monitoring",
            Service::Ec2 => "ec2",
        }
    }

    /// Its name in settings (AWS SDKs and Tools Reference Guide, "Service-specific endpoints").
    fn id(self) -> &'static str {
        match self {
            Service::SecretsManager => "Secrets Manager",
            Service::Rds => "RDS",
            Service::CloudWatch => "CloudWatch",
            Service::Ec2 => "EC2",
        }
    }
}

/// An error's words, and those of what caused it: the outermost alone says next to nothing.
fn all_words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let text = inner.to_string();
        if !words.contains(&text) {
            words.push_str(": ");
            words.push_str(&text);
        }
        cause = inner.source();
    }
    words
}
