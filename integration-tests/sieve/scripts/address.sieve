require ["fileinto", "envelope", "subaddress"];
if address :domain :is "from" "EXAMPLE.com" { fileinto "from-example"; }
if address :localpart :contains ["to", "cc"] "third" { fileinto "third"; }
if address :detail :is "cc" "tag" { fileinto "tagged"; }
if address :user :is "cc" "third" { fileinto "user"; }
if envelope :is "from" "sender@example.com" { fileinto "envelope"; }
if envelope :detail "to" "box" { fileinto "box"; }
if not address :all :is "to" "bob@blue.test" { keep; }
