require ["fileinto", "relational", "comparator-i;ascii-numeric", "index"];
if header :value "ge" :comparator "i;ascii-numeric" "x-number" "9" { fileinto "nine"; }
if header :value "lt" "x-number" "9" { fileinto "text-order"; }
if header :count "eq" :comparator "i;ascii-numeric" "x-twice" "2" { fileinto "twice"; }
if address :count "gt" :comparator "i;ascii-numeric" ["to", "cc"] "2" { fileinto "many"; }
if header :index 1 :last "x-twice" "second" { fileinto "last"; }
if header :index 1 "x-twice" "second" { fileinto "first"; }
if size :over 400 { fileinto "over"; }
if size :under 1K { fileinto "under"; }
