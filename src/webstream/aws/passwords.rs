//! The services' passwords in AWS Secrets Manager: a secret for each variable, which holds nothing else.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::error::{Error, Kind, Result};

use super::answer::Refusal;
use super::call::{Failure, Question};
use super::{Aws, Prefer, Service};

/// The secrets whose names begin alike.
pub(in crate::webstream) struct Passwords {
    aws: Aws,
    prefix: String,
}

impl Passwords {
    /// `region` counts where AWS's tools are set to none.
    pub(in crate::webstream) async fn open(
        prefix: &str,
        region: Option<&str>,
    ) -> Result<Passwords> {
        let aws = Aws::open(Prefer::Set(region)).await?;
        Ok(Passwords { aws, prefix: prefix.to_owned() })
    }

    /// What those of the variables hold that have a secret.
    pub(in crate::webstream) async fn read(
        &self,
        variables: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, String>> {
        let mut all = BTreeMap::new();
        for variable in variables {
            if let Some(password) = self.password(variable).await? {
                all.insert(variable.clone(), password);
            }
        }
        Ok(all)
    }

    /// Makes a variable's secret, unless it is there with this very password already.
    pub(in crate::webstream) async fn keep(&self, variable: &str, password: &str) -> Result<()> {
        let name = self.name(variable);
        let doing = format!("keeping a password in the secret {name}");
        let created = self
            .ask(
                &doing,
                "secretsmanager.CreateSecret",
                &json!({
                    "Name": name,
                    "SecretString": password,
                    "Description": "Password of a WebStream database, made by pgconvoy",
                    "ClientRequestToken": token()?,
                }),
            )
            .await;
        match created {
            Ok(_) => Ok(()),
            Err(Failure::Refused(refusal)) if refusal.code == "ResourceExistsException" => {
                match self.password(variable).await?.as_deref() == Some(password) {
                    true => Ok(()),
                    false => Err(Error::new(Kind::Refused, doing)
                        .because("it is there already, with another value")
                        .hint("run again, so that the value that is there is used; or delete it first")),
                }
            }
            Err(failure) => Err(self.told(failure, &doing, "CreateSecret", &name)),
        }
    }

    async fn password(&self, variable: &str) -> Result<Option<String>> {
        let name = self.name(variable);
        let doing = format!("reading the secret {name}");
        let asked = json!({ "SecretId": name });
        let text = match self.ask(&doing, "secretsmanager.GetSecretValue", &asked).await {
            Ok(text) => text,
            Err(Failure::Refused(refusal)) if refusal.code == "ResourceNotFoundException" => {
                return Ok(None);
            }
            Err(failure) => return Err(self.told(failure, &doing, "GetSecretValue", &name)),
        };
        let value: Option<Value> = serde_json::from_str(&text).ok();
        let password = value.as_ref().and_then(|value| value.get("SecretString")?.as_str());
        password.map(|password| Some(password.to_owned())).ok_or_else(|| {
            Error::new(Kind::Refused, doing)
                .because("it holds no text")
                .hint("let it hold the password, and nothing else, as its SecretString")
        })
    }

    async fn ask(
        &self,
        doing: &str,
        target: &'static str,
        body: &Value,
    ) -> Result<String, Failure> {
        let question = Question {
            service: Service::SecretsManager,
            target: Some(target),
            content_type: "application/x-amz-json-1.1",
            body: body.to_string(),
        };
        self.aws.ask(doing, &question).await
    }

    fn told(&self, failure: Failure, doing: &str, action: &str, name: &str) -> Error {
        let hint = match &failure {
            // One that is about to be deleted is neither there nor gone.
            Failure::Refused(Refusal { code, .. }) if code == "InvalidRequestException" => {
                format!(
                    "`aws secretsmanager restore-secret --secret-id {name}`, or choose another prefix"
                )
            }
            Failure::Refused(refusal) => refusal.hint(&format!("secretsmanager:{action}")),
            Failure::Unreached(_) => String::new(),
        };
        failure.into_error(doing, hint)
    }

    fn name(&self, variable: &str) -> String {
        format!("{}{variable}", self.prefix)
    }
}

/// What tells one wish from another: a question that is asked again because its answer got lost makes no
/// second secret, and isn't refused.
fn token() -> Result<String> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::step("asking the system for random bytes").because(error.to_string())
    })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
