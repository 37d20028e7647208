//! Work that is not the request's own.

use countersign::refusals::{Error, Result};
use std::future::Future;

/// Does a deed to its end, whoever hangs up meanwhile.
pub async fn finish<T: Send + 'static>(deed: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    tokio::spawn(deed).await.map_err(|error| Error::Fault(error.into()))?
}

/// Does what keeps a thread busy where that is nobody else's loss.
pub async fn busy<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::Fault(error.into()))?
}
