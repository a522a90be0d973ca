//! Where the fleet's [`Standing`] is kept: as a setting of the store. Both drivers use it.

use holdfast_model::standing::{Cause, SCHEMA};
use holdfast_model::{Standing, Time};
use holdfast_store::{Store, StoreError};

/// The store's setting.
const SETTING: &str = "fleet";

/// Why a stored standing cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StandingError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is damaged, or a newer version's.
    #[error(
        "the store's setting \"{SETTING}\" cannot be read ({0}); run the newer version again, or \
         restore the store from a backup"
    )]
    Unreadable(String),
}

/// Begins a new epoch. It is durable when this returns. A freeze for the account's sake is not
/// taken over: whoever starts asks anew who the credentials are.
///
/// # Errors
/// [`StandingError`]; then nothing may be started.
pub fn begin(store: &dyn Store, now: Time) -> Result<Standing, StandingError> {
    let mut standing = match store.setting(SETTING)? {
        None => Standing::default(),
        Some(json) => serde_json::from_str::<Standing>(&json)
            .map_err(|e| StandingError::Unreadable(e.to_string()))?,
    };
    if standing.schema > SCHEMA {
        let why = format!("it has schema {}, this version knows {SCHEMA}", standing.schema);
        return Err(StandingError::Unreadable(why));
    }
    standing.schema = SCHEMA;
    standing.epoch = standing.epoch.next(now);
    standing.freezes.remove(&Cause::Account);
    keep(store, &standing)?;
    Ok(standing)
}

/// Keeps what has changed.
///
/// # Errors
/// [`StandingError`]; then it must be kept again later.
pub fn keep(store: &dyn Store, standing: &Standing) -> Result<(), StandingError> {
    let json =
        serde_json::to_string(standing).map_err(|e| StandingError::Unreadable(e.to_string()))?;
    Ok(store.set_setting(SETTING, &json)?)
}
