"""The words of an export to its readers, in English and in French."""

DESCRIPTION = (
    "Captures of web pages, ads or releases with the sentences that a program tagged in them, as they were on the day"
    " of each capture. A tag is not a verdict. How to check this file: evidence/README.txt\n\n"
    "Captures de pages web, de publicités ou de communiqués, avec les phrases qu'un programme y a relevées, telles"
    " qu'au jour de chaque capture. Une étiquette n'est pas un jugement. Comment vérifier ce fichier :"
    " evidence/README.txt"
)
READ_ME = """\
How to check this file without us (it is a zip file: unzip it first)

1. Nothing was changed: `sha256sum datapackage.json` gives the hash in datapackage-digest.json, and `sha256sum` of
   each other file the hash in datapackage.json.
2. The records are whole: `warcio check -v FILE` (warcio is free software) finds no error in archive/.
3. A claim is on its page: evidence/claims.json gives file, offset and length of its record.
   `warcio extract --payload FILE OFFSET` prints what was captured, the quote (text[start:end]) in it.
   The hash of the record: `tail -c +$((OFFSET + 1)) FILE | head -c LENGTH | sha256sum`.
4. To see the pages, open the .wacz file in ReplayWeb.page. archive/player.warc, where there is one, only repeats
   records of kind "conversion" (ads, pages after their scripts) in a kind that players show.
5. evidence/chain.jsonl, where there is one, holds the lines of our chained manifest for these records. Each line
   has the hash of the line before it: a record put in or taken out later shows in the whole manifest.
   `sed 's/"hash":"[0-9a-f]*",//' | tr -d '\\n' | sha256sum`, given one line, prints its hash.
A tag says that on that day this page told its readers so. It is not a verdict. "vendor" is empty where a claim was
assigned to nobody. claims.csv is for spreadsheets: addresses begin with hxxp, and a ' stands before what could run
as a formula.

Comment vérifier ce fichier sans nous (c'est un zip : décompressez-le d'abord)

1. Rien n'a changé : `sha256sum datapackage.json` donne l'empreinte inscrite dans datapackage-digest.json, et
   `sha256sum` de chaque autre fichier celle inscrite dans datapackage.json.
2. Les enregistrements sont entiers : `warcio check -v FILE` (logiciel libre) ne trouve pas d'erreur dans archive/.
3. L'affirmation est sur sa page : evidence/claims.json donne fichier, position et longueur de l'enregistrement.
   `warcio extract --payload FILE OFFSET` affiche ce qui a été capturé, citation (text[start:end]) comprise.
   L'empreinte de l'enregistrement : `tail -c +$((OFFSET + 1)) FILE | head -c LENGTH | sha256sum`.
4. Pour voir les pages, ouvrez le fichier .wacz dans ReplayWeb.page. archive/player.warc, s'il existe, ne fait que
   répéter les enregistrements « conversion » (publicités, pages après leurs scripts) sous une forme affichable.
5. evidence/chain.jsonl, s'il existe, contient les lignes de notre registre chaîné pour ces enregistrements. Chaque
   ligne porte l'empreinte de la précédente : un ajout ou un retrait ultérieur se voit dans le registre entier.
   `sed 's/"hash":"[0-9a-f]*",//' | tr -d '\\n' | sha256sum`, à qui l'on donne une ligne, affiche son empreinte.
Une étiquette dit que, ce jour-là, cette page l'affirmait à ses lecteurs. Ce n'est pas un jugement. « vendor » est
vide quand l'affirmation n'a été attribuée à personne. claims.csv est pour les tableurs : les adresses commencent par
hxxp, et ' précède ce qui pourrait être une formule.
"""
