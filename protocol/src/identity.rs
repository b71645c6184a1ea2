//! Who a call is made for, as the edge established it.

/// The verified caller. All fields absent: anonymous.
///
/// Roles come from the verified identity alone; a client's own claim counts only where the
/// gateway is told to trust it (`identity.trust_client_identity`).
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Identity {
    /// The user, for example the subject of a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// The device that the user speaks from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
    /// What the user may act as.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
}

impl Identity {
    /// Nobody in particular.
    #[must_use]
    pub fn anonymous() -> Self {
        Self::default()
    }

    /// Whether a user is known.
    #[must_use]
    pub fn is_authenticated(&self) -> bool {
        self.user_id.as_deref().is_some_and(|id| !id.is_empty())
    }
}
