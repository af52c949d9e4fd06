//! Values that are one of a few words.

use serde_json::json;
use toml::de::DeValue;

use super::{Entry, Kind, Reader, shown_key, variables};
use crate::nearest::nearest;
use crate::resolved::{
    Hsts, LineFormat, Listen, MetricsAccess, Port, Protocol, RedirectHttps, SeenHost, ShowCertificate, Signal,
    TraceFrom,
};
use crate::value::duration;

/// A kind whose values are one of a few words.
macro_rules! choice {
    ($type:ident, $name:literal: $($word:literal => $variant:ident),+) => {
        impl Kind for $type {
            type Value = $type;
            const NAME: &'static str = $name;

            fn read(entry: &Entry<'_>, reader: &mut Reader<'_>) -> Option<$type> {
                let words = [$($word),+];
                let text = reader.text::<Self>(entry)?;
                match text.as_str() {
                    $($word => Some($type::$variant),)+
                    _ => reader.refuse_word(entry, &words),
                }
            }

            fn schema() -> serde_json::Value {
                json!({ "enum": [$($word),+] })
            }
        }

        impl $type {
            /// The word for it in the file.
            pub fn as_str(self) -> &'static str {
                match self {
                    $($type::$variant => $word,)+
                }
            }
        }
    };
}

choice!(Listen, "a text": "port" => Port, "socket" => Socket, "nothing" => Nothing);
choice!(Protocol, "a text": "h1" => H1, "h2" => H2);
choice!(SeenHost, "a text": "upstream" => Upstream, "client" => Client);
choice!(LineFormat, "a text": "json" => Json, "combined" => Combined);
choice!(TraceFrom, "a text": "trusted_proxies" => TrustedProxies, "anybody" => Anybody);
choice!(RedirectHttps, "a text": "auto" => Auto, "on" => On, "off" => Off);
choice!(ShowCertificate, "a text": "required" => Required, "optional" => Optional);
choice!(MetricsAccess, "a text": "token" => Token, "open" => Open);
choice!(
    Signal, "a text":
    "TERM" => Term, "INT" => Int, "QUIT" => Quit, "HUP" => Hup, "USR1" => Usr1, "USR2" => Usr2, "KILL" => Kill
);

impl Reader<'_> {
    /// Notes that a text is none of the words. Only the text as written is compared and quoted.
    pub(super) fn refuse_word<T>(&mut self, entry: &Entry<'_>, words: &[&str]) -> Option<T> {
        let listed: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
        let listed = listed.join(" or ");
        let written = entry.node.get_ref().as_str().unwrap_or_default();
        let hint = match nearest(written.trim_start_matches("SIG"), words.iter().copied()) {
            Some(meant) => format!("did you mean \"{meant}\"? It can be {listed}"),
            None => format!("it can be {listed}"),
        };
        let message = match variables::has_variables(written) {
            true => format!("`{}` is none of its choices, once its variables are filled in", entry.key()),
            false => format!("`{}` cannot be \"{}\"", entry.key(), shown_key(written)),
        };
        self.report(entry.node.span(), message, hint);
        None
    }
}

impl Kind for Port {
    type Value = Port;
    const NAME: &'static str = "a port";
    const FORM: &'static str = "it can be \"auto\", \"off\" or a number from 0 to 65535; 0 takes any free port";

    fn read(entry: &Entry<'_>, reader: &mut Reader<'_>) -> Option<Port> {
        if let DeValue::Integer(number) = entry.node.get_ref() {
            let port = u16::from_str_radix(number.as_str(), number.radix()).ok();
            return match port {
                Some(port) => Some(Port::Number(port)),
                None => reader.refuse::<Self, _>(entry, "is not a port"),
            };
        }
        reader.parsed::<Self, _>(entry, |text| match text {
            "auto" => Ok(Port::Auto),
            "off" => Ok(Port::Off),
            number => number.parse().map(Port::Number).map_err(|_| "is not a port".to_owned()),
        })
    }

    fn schema() -> serde_json::Value {
        json!({ "anyOf": [{ "enum": ["auto", "off"] }, { "type": "integer", "minimum": 0, "maximum": 65535 }] })
    }
}

impl Kind for Hsts {
    type Value = Hsts;
    const NAME: &'static str = "a duration";
    const FORM: &'static str = "it can be \"off\" or a duration like \"365d\"";

    fn read(entry: &Entry<'_>, reader: &mut Reader<'_>) -> Option<Hsts> {
        reader.parsed::<Self, _>(entry, |text| match text {
            "off" => Ok(Hsts::Off),
            text => duration::parse(text).map(Hsts::For),
        })
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "string" })
    }
}
