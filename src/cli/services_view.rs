//! How the services on the hosts are stopped and started, for people: the recipe doesn't do it, as they
//! run elsewhere. No secret is shown: the commands read them where they are kept.

use crate::webstream::Secrets;

use super::page::{Page, Tone};

/// What is done on every host before the bundled databases are moved.
pub(super) fn stopping(page: &mut Page) {
    page.line(
        0,
        Tone::Strong,
        "first, on every host: stop the Metrics Engine's service, then the gateway's",
    );
    page.block(
        2,
        Tone::Plain,
        "Windows: sc.exe stop SERVICE (Get-Service *webstream* in PowerShell lists them)\n\
         Linux:   systemctl stop SERVICE\n\
         the bundled instance itself stays: it is Webstream-Postgres on Windows",
    );
    page.gap();
}

/// What is done there once the configurations are written. `variables` are those that the services find
/// their passwords in, none where these are in the configurations; `secrets` is where they are kept.
pub(super) fn starting(page: &mut Page, variables: &[String], secrets: Option<&Secrets>) {
    page.line(0, Tone::Strong, "then, on every host");
    let mut number = 1;
    let mut next = |page: &mut Page, text: &str| {
        page.block(2, Tone::Plain, &format!("{number}. {text}"));
        number += 1;
    };
    if !variables.is_empty() {
        next(page, "give each service the variables that its passwordRef names");
        page.block(5, Tone::Plain, &variables_given(variables, secrets));
    }
    next(
        page,
        "start the gateway's service, and when it runs, the Metrics Engine's; one that runs already has \
         to be stopped before",
    );
    page.block(5, Tone::Plain, "Windows: sc.exe start SERVICE\nLinux:   systemctl start SERVICE");
    next(page, "pgconvoy webstream status, and sign in to the admin console");
    page.line(2, Tone::Plain, "the way back: pgconvoy webstream rollback");
}

/// A service of Windows has the Service Control Manager's environment, and its own beside it, which it
/// reads when it starts: what else is in that is kept.
fn variables_given(variables: &[String], secrets: Option<&Secrets>) -> String {
    let names = variables.join("|");
    let Taken { from, on_windows, on_linux } = taken(variables, secrets);
    format!(
        "from {from}\n\
         Windows, in PowerShell as an administrator, for each SERVICE (every account of the host may read \
         that key; with `repoint --password-ref dpapi` there is nothing to give):\n\
         \x20 $key = 'HKLM:\\SYSTEM\\CurrentControlSet\\Services\\SERVICE'\n\
         \x20 $names = '^({names})='\n\
         \x20 $kept = (Get-ItemProperty $key).Environment | Where-Object {{ $_ -and $_ -notmatch $names }}\n\
         \x20 $new = {on_windows}\n\
         \x20 Set-ItemProperty $key Environment ([string[]](@($kept) + @($new) -ne $null)) -Type MultiString\n\
         Linux: EnvironmentFile={on_linux} in the service's unit, then systemctl daemon-reload"
    )
}

/// How the variables are had from where they are kept.
struct Taken {
    from: String,
    /// What PowerShell makes NAME=value of.
    on_windows: String,
    /// A file of such lines.
    on_linux: String,
}

fn taken(variables: &[String], secrets: Option<&Secrets>) -> Taken {
    let path = match secrets {
        Some(Secrets::File(path)) => path.display().to_string(),
        None => "FILE".to_owned(),
        #[cfg(feature = "aws")]
        Some(Secrets::Aws { prefix, .. }) => {
            let asked = "aws secretsmanager get-secret-value --query SecretString --output text";
            return Taken {
                from: format!("AWS Secrets Manager: {asked} --secret-id {prefix}NAME"),
                on_windows: format!(
                    "'{}' | ForEach-Object {{ \"$_=\" + ({asked} --secret-id \"{prefix}$_\") }}",
                    variables.join("', '")
                ),
                on_linux: "FILE with lines of NAME=value, which only root reads,".to_owned(),
            };
        }
    };
    // By its path here it is known only to hosts of this kind.
    let (on_windows, on_linux) = match cfg!(windows) {
        true => (path.replace('\'', "''"), "FILE".to_owned()),
        false => ("FILE".to_owned(), path),
    };
    let on_windows = format!(
        "@(Get-Content '{on_windows}') -match '^({})=' -replace '=\'\'(.*)\'\'$', '=$1'",
        variables.join("|")
    );
    Taken { from: "the secrets file, which you bring there".to_owned(), on_windows, on_linux }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(variables: &[&str]) -> String {
        let mut page = Page::new(false);
        let variables: Vec<String> = variables.iter().map(ToString::to_string).collect();
        let file = Secrets::File("o'k.env".into());
        starting(&mut page, &variables, Some(&file));
        page.into_text()
    }

    #[test]
    fn services_are_given_the_variables_that_the_secrets_file_sets() {
        let text = shown(&["A_PASSWORD", "B_PASSWORD"]);
        assert!(text.contains("$names = '^(A_PASSWORD|B_PASSWORD)='"), "{text}");
        let file =
            if cfg!(windows) { "(Get-Content 'o''k.env')" } else { "EnvironmentFile=o'k.env " };
        assert!(text.contains(file), "{text}");
        assert!(text.contains("  2. start the gateway's"), "{text}");
    }

    #[test]
    fn services_that_find_tokens_need_no_variables() {
        let text = shown(&[]);
        assert!(text.contains("  1. start the gateway's"), "{text}");
        assert!(!text.contains("Environment"), "{text}");
    }
}
