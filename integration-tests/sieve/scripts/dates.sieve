require ["fileinto", "date", "relational"];
if date :originalzone "date" "hour" "18" { fileinto "evening"; }
if date :zone "+0000" "date" "hour" "17" { fileinto "utc"; }
if date :value "ge" "date" "date" "2026-11-21" { fileinto "late"; }
if date :originalzone "date" "weekday" "0" { fileinto "sunday"; }
if date :originalzone "date" "zone" "-0800" { fileinto "pacific"; }
if date :zone "+0100" "date" "julian" "61365" { fileinto "julian"; }
if date :zone "+0000" "date" "iso8601" "2026-11-17T07:59:59+00:00" { fileinto "iso"; }
