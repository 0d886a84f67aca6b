//! Whether the target can compress values as it is asked to.

use crate::error::Result;
use crate::pg::ToastCompression;
use crate::toc::Finding;

use super::sides::Sides;

/// Tells how values will be compressed, where that was asked for.
pub(super) async fn findings(
    sides: &Sides<'_>,
    wanted: Option<ToastCompression>,
) -> Result<Vec<Finding>> {
    let Some(wanted) = wanted else { return Ok(Vec::new()) };
    let sql = "SELECT setting, enumvals FROM pg_catalog.pg_settings \
               WHERE name = 'default_toast_compression'";
    let rows = sides.target().query("asking what the target can compress with", sql, &[]).await?;
    let setting: Option<(String, Vec<String>)> = rows.first().map(|row| (row.get(0), row.get(1)));
    Ok(judge(&wanted.to_string(), setting.as_ref()).into_iter().collect())
}

fn judge(wanted: &str, setting: Option<&(String, Vec<String>)>) -> Option<Finding> {
    let object = "values that are stored apart";
    match setting {
        Some((usual, known)) if known.iter().any(|name| name == wanted) => {
            let what = format!("are compressed with {wanted}, not with the target's own {usual}");
            (usual != wanted).then(|| Finding::change(object, what))
        }
        _ => {
            let what = format!("the target can't compress them with {wanted}");
            Some(Finding::refusal(object, what).mend("leave --toast-compression out"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toc::Severity;

    #[test]
    fn a_method_that_the_target_lacks_is_refused_and_another_than_its_own_is_told() {
        let both = ("pglz".to_owned(), vec!["pglz".to_owned(), "lz4".to_owned()]);
        let severity = |wanted, setting| judge(wanted, setting).map(|finding| finding.severity);
        assert_eq!(severity("lz4", Some(&both)), Some(Severity::Change));
        assert_eq!(severity("pglz", Some(&both)), None);
        let one = ("pglz".to_owned(), vec!["pglz".to_owned()]);
        assert_eq!(severity("lz4", Some(&one)), Some(Severity::Refusal));
        assert_eq!(severity("lz4", None), Some(Severity::Refusal), "before PostgreSQL 14");
    }
}
