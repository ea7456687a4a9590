require ["fileinto", "mime", "foreverypart", "variables", "extracttext"];
if header :mime :anychild :param "filename" "Content-Disposition" "invoice.pdf" { fileinto "pdf"; }
if header :mime :anychild :contenttype "Content-Type" "text/html" { fileinto "html"; }
if header :mime :type "Content-Type" "multipart" { fileinto "multi"; }
foreverypart {
    if header :mime :contenttype :is "Content-Type" "text/plain" {
        extracttext :first 12 "text";
        fileinto "${text}";
        break;
    }
}
