//! Where a route leads: one service, or several with their shares.

use serde_json::json;
use toml::de::DeValue;

use super::{Entry, Kind, Reader, ServiceName};
use crate::resolved::Target;

/// The largest share: enough for one request in a million, small enough to add up without a thought.
const WEIGHT_MAX: u32 = 1_000_000;

/// A service, or a table of services and weights.
pub(crate) struct Targets;

impl Kind for Targets {
    type Value = Vec<Target>;
    const NAME: &'static str = "the name of a service";
    const FORM: &'static str =
        "it is the name of a service, \"api\", or a table of services and their shares, { api = 90, canary = 10 }";

    fn read(entry: &Entry<'_>, reader: &mut Reader<'_>) -> Option<Vec<Target>> {
        let DeValue::Table(table) = entry.node.get_ref() else {
            return ServiceName::read(entry, reader).map(|service| vec![Target { service, weight: 1 }]);
        };
        let mut targets = Vec::new();
        for (name, node) in table {
            let is_known = reader.check_service_exists(name.get_ref(), name.span());
            let Some(weight) = read_weight(node.get_ref()) else {
                let message = format!("the share of `{}` is no whole number from 0 to {WEIGHT_MAX}", name.get_ref());
                reader.report(node.span(), message, "shares are measured by their sum: `{ api = 90, canary = 10 }`");
                return None;
            };
            if is_known {
                targets.push(Target { service: name.get_ref().to_string(), weight });
            }
        }
        if targets.len() == table.len() && targets.iter().all(|target| target.weight == 0) {
            return reader.refuse::<Self, _>(entry, "gives no service a share above 0");
        }
        (targets.len() == table.len()).then_some(targets)
    }

    fn schema() -> serde_json::Value {
        let share = json!({ "type": "integer", "minimum": 0, "maximum": WEIGHT_MAX });
        json!({ "anyOf": [
            { "type": "string" },
            { "type": "object", "additionalProperties": share, "minProperties": 1 },
        ] })
    }
}

fn read_weight(value: &DeValue<'_>) -> Option<u32> {
    let number = value.as_integer()?;
    u32::from_str_radix(number.as_str(), number.radix()).ok().filter(|weight| *weight <= WEIGHT_MAX)
}

#[cfg(test)]
mod tests {
    /// Goal: a service whose share is 0 belongs to its route and is not asked by it.
    #[test]
    fn a_share_of_nothing_asks_for_nothing() {
        let text = "service.api.run = \"api\"\nservice.canary.run = \"canary\"\n\
                    [[route]]\nto = { api = 1, canary = 0 }\n";
        let route = &crate::read(text, "f", None, &|_| None).unwrap().routes[0];
        assert_eq!(route.services().collect::<Vec<_>>(), ["api", "canary"]);
        assert_eq!(route.asked().collect::<Vec<_>>(), ["api"]);
    }
}
