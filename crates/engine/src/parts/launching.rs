//! What a launch takes from the spec: the same for the node's next instance and for one that stands
//! by.

use crate::context::desk::Desk;
use holdfast_model::command::Launch;
use holdfast_model::tags::Tags;
use holdfast_model::{Market, Token};

/// A launch of the spec's own image, with nothing of the node: its root dies with it.
pub(crate) fn of_spec(desk: &Desk<'_>, market: Market, tags: Tags, token: Token) -> Launch {
    Launch {
        token,
        market,
        image: desk.spec.image.clone(),
        interface: None,
        root_delete_on_termination: true,
        root_size_gib: desk.spec.root_size_gib,
        root_settings: desk.spec.root_settings.clone(),
        user_data: desk.spec.user_data.clone(),
        shutdown_script: desk.spec.shutdown_script.clone(),
        settings: desk.spec.settings.clone(),
        tags,
        volume_tags: None,
        interface_tags: None,
    }
}
