require ["fileinto", "body"];
if body :raw :contains "MONEY" { fileinto "raw"; }
if body :text :contains "schöne grüße" { fileinto "decoded"; }
if body :contains "invoice is attached" { fileinto "text"; }
if body :content "text/html" :contains "<b>invoice" { fileinto "html"; }
if body :content "application/pdf" :contains "%PDF-1.4" { fileinto "pdf"; }
if body :content ["message", "image"] :contains "" { fileinto "image"; }
