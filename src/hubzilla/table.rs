//! The columns of a table, and its lines as maps.
//!
//! Invariant: columns that this release does not know come along as they are; bytes do not.
//! Spec: SYNC-7.

use serde_json::{Map, Value};

use super::AdoptError;
use super::database::{Database, Line};

/// A line under the names of its columns.
pub(super) type Fields = Map<String, Value>;

/// A table that is there.
pub(super) struct Table {
    columns: Vec<Column>,
}

struct Column {
    name: String,
    is_number: bool,
}

impl Table {
    /// Asks for the columns of a table; those in `needed` must be among them.
    pub(super) async fn of(
        database: &mut Database,
        table: &'static str,
        needed: &[&'static str],
    ) -> Result<Self, AdoptError> {
        let sql = format!(
            "SELECT {}, {} FROM information_schema.columns
             WHERE table_schema = {} AND table_name = ? ORDER BY ordinal_position",
            database.text("column_name"),
            database.text("data_type"),
            database.schema(),
        );
        let lines = database.lines(&sql, &[table.into()]).await?;
        let columns: Vec<(String, String)> = lines
            .into_iter()
            .filter_map(|mut line| Some((line.first_mut()?.take()?, line.get_mut(1)?.take()?)))
            .collect();
        let there = |name: &str| columns.iter().any(|(column, _)| column == name);
        if let Some(missing) = needed.iter().find(|name| !there(name)) {
            return Err(AdoptError::Schema(table, missing));
        }
        let kinds = columns.into_iter().map(|(name, kind)| (name, kind.to_ascii_lowercase()));
        let columns = kinds.filter(|(_, kind)| !is_bytes(kind));
        Ok(Self {
            columns: columns
                .map(|(name, kind)| Column { name, is_number: is_number(&kind) })
                .collect(),
        })
    }

    /// Whether it has a column.
    pub(super) fn has(&self, name: &str) -> bool {
        self.columns.iter().any(|column| column.name == name)
    }

    /// All columns, for a statement in which the table is called `alias`.
    pub(super) fn selected(&self, database: &Database, alias: &str) -> String {
        let one =
            |column: &Column| database.text(&format!("{alias}.{}", database.name(&column.name)));
        self.columns.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    /// A line that begins with all columns; and what comes after them.
    pub(super) fn read(&self, mut line: Line) -> (Fields, Line) {
        let rest = line.split_off(self.columns.len().min(line.len()));
        let fields = self.columns.iter().zip(line).map(|(column, text)| {
            let value = match text {
                None => Value::Null,
                Some(text) if column.is_number => number(text),
                Some(text) => Value::String(text),
            };
            (column.name.clone(), value)
        });
        (fields.collect(), rest)
    }
}

fn is_bytes(kind: &str) -> bool {
    kind.ends_with("blob") || kind.ends_with("binary") || kind == "bytea"
}

fn is_number(kind: &str) -> bool {
    let whole = ["tinyint", "smallint", "mediumint", "int", "integer", "bigint"];
    whole.contains(&kind) || ["numeric", "decimal", "boolean"].contains(&kind)
}

fn number(text: String) -> Value {
    match text.as_str() {
        "true" | "t" => return 1.into(),
        "false" | "f" => return 0.into(),
        _ => {}
    }
    let signed = text.parse::<i64>().map(Value::from);
    let number = signed.or_else(|_| text.parse::<u64>().map(Value::from));
    number.unwrap_or(Value::String(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers are numbers in each kind of database, and what is none stays what it is.
    #[test]
    fn a_line_becomes_a_map() {
        let column =
            |name: &str, kind: &str| Column { name: name.into(), is_number: is_number(kind) };
        let columns = vec![
            column("id", "integer"),
            column("flag", "boolean"),
            column("size", "bigint"),
            column("odd", "numeric"),
            column("name", "char"),
            column("none", "text"),
        ];
        let values =
            [Some("7"), Some("true"), Some("18446744073709551615"), Some("1.5"), Some("7")];
        let mut line: Line = values.map(|value| value.map(str::to_owned)).to_vec();
        line.extend([None, Some("rest".to_owned())]);
        let (fields, rest) = Table { columns }.read(line);
        assert_eq!(rest, [Some("rest".to_owned())]);
        let expected = serde_json::json!({
            "id": 7, "flag": 1, "size": u64::MAX, "odd": "1.5", "name": "7", "none": null
        });
        assert_eq!(Value::Object(fields), expected);
    }
}
