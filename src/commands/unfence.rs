//! `pgconvoy unfence`: the roles that `migrate --fence` keeps out of the source may log in again.

use serde::Serialize;

use crate::error::Result;
use crate::wire::Conninfo;

use super::{databases, fence};

/// What lifting a fence came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unfenced {
    /// The roles that may log in again; none where no fence stood.
    pub roles: Vec<String>,
}

/// Lifts the fence on the server of `source`, if one stands there.
pub async fn unfence(source: &Conninfo) -> Result<Unfenced> {
    let session = databases::maintenance(source).await?;
    Ok(Unfenced { roles: fence::lift(&session, None).await?.again })
}
