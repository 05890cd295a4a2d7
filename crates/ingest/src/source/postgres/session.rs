//! A source that is open for reading: its address looked up, one snapshot taken, its catalog read.

use ol_chassis::secret::SecretUrl;

use super::catalog::Catalog;
use super::settings::{Settings, SourceAddress};
use super::snapshot::Keeper;
use crate::error::{Doing, Error};

/// What every command starts from.
pub struct Session {
    /// Held for as long as the source is read, so that leased credentials are renewed.
    _url: SecretUrl,
    /// How further connections are made.
    pub settings: Settings,
    /// The snapshot's keeper.
    pub keeper: Keeper,
    /// The catalog as of the snapshot.
    pub catalog: Catalog,
}

impl Session {
    /// Looks the source up, connects, takes the snapshot and reads the catalog under it.
    ///
    /// # Errors
    /// It is not known where the source is, it cannot be reached, or it refuses.
    pub async fn open(address: &SourceAddress) -> Result<Self, Error> {
        let (url, settings) = address.resolve().await?;
        let opened = async {
            let opened = Keeper::open(&settings).await;
            let mut keeper = opened.map_err(|error| error.into_error(Doing::Connecting))?;
            let catalog = keeper.catalog().await;
            Ok((keeper, catalog.map_err(|error| error.into_error(Doing::Reading))?))
        };
        // The address is a fact of the failure; it shows no password.
        let (keeper, catalog) = opened.await.map_err(|error: Error| {
            error.with("source", &url).with("variable", address.variable())
        })?;
        Ok(Self { _url: url, settings, keeper, catalog })
    }
}
