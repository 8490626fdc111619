# collgs-async: completion for fish. Put it into ~/.config/fish/completions/collgs-async.fish
function __collgs_async_is
    set -l waiting
    set -l command
    for word in (commandline -opc)[2..]
        if test -n "$waiting"
            set waiting
            continue
        end
        switch $word
            case --aged --aoi --auth-hosts --bands --base-url --bbox --best-per --by --ca-file --chunk-size --cloud-cover --collection --config --contact --count --day --diff --download-base-url --end --fault --format --ids --keep-free --keep-last --kind --layout --ledger --limit-rate --listing-cycle --listing-overlap --map --max-bytes --max-delete --max-requests --max-time --members --min-overlap --min-rate --months --on-archive --on-end --orbit-direction --outage --output --page-size --plan --platform --polarisation --port --product-type --products --proxy --relative-orbit --report --resolution --retries --segments --set --sign-in --sort --staging --start --superseded --tile --tiles --tiles-credit --timeout --until --user-agent --verify --withdrawn --workers -c -j -n -o
                set waiting yes
            case search collections describe quicklooks ls plan download sync retry verify prune status ledger init login demo completion help
                test -n "$command"; or set command $word
        end
    end
    test -n "$command"; or set command none
    contains -- $command $argv
end
function __collgs_async_collections
    set -l cache ~/.cache
    string match -q '/*' -- "$XDG_CACHE_HOME"; and set cache $XDG_CACHE_HOME
    test -r $cache/collgs-async/collections; and cat $cache/collgs-async/collections
end
function __collgs_async_list
    set -l before (commandline -ct | string replace -r '^--[a-z-]+=' '' | string match -r '^.*,')
    printf '%s\n' "$before"$argv
end
complete -c collgs-async -f
complete -c collgs-async -n '__collgs_async_is none' -a search -d 'list what matches, as a table or on a map'
complete -c collgs-async -n '__collgs_async_is none' -a collections -d 'list the collections of the catalogue'
complete -c collgs-async -n '__collgs_async_is none' -a describe -d 'show what can be asked of a collection'
complete -c collgs-async -n '__collgs_async_is none' -a quicklooks -d 'save small pictures of what matches'
complete -c collgs-async -n '__collgs_async_is none' -a ls -d 'list the files within an archive that is in the store'
complete -c collgs-async -n '__collgs_async_is none' -a plan -d 'write down what would be pulled, for --plan, or compare plans'
complete -c collgs-async -n '__collgs_async_is none' -a download -d 'pull everything that matches (also without a command)'
complete -c collgs-async -n '__collgs_async_is none' -a sync -d 'keep a folder equal to what the catalogue lists, run after run'
complete -c collgs-async -n '__collgs_async_is none' -a retry -d 'try again what sync could not fetch'
complete -c collgs-async -n '__collgs_async_is none' -a verify -d 'check the archives in a folder'
complete -c collgs-async -n '__collgs_async_is none' -a prune -d 'move or delete archives that are not wanted any more'
complete -c collgs-async -n '__collgs_async_is none' -a status -d 'tell the state of an archive, or what happened to a product'
complete -c collgs-async -n '__collgs_async_is none' -a ledger -d 'export the ledger, make it anew, or move archives'
complete -c collgs-async -n '__collgs_async_is none' -a init -d 'write the sample configuration'
complete -c collgs-async -n '__collgs_async_is none' -a login -d 'try the credentials, and say who one is'
complete -c collgs-async -n '__collgs_async_is none' -a demo -d 'try it all on an embedded catalogue: no account, no internet'
complete -c collgs-async -n '__collgs_async_is none' -a completion -d 'print the completion of words for bash, zsh or fish'
complete -c collgs-async -n '__collgs_async_is none' -a help -d 'explain a topic or a command'
complete -c collgs-async -n '__collgs_async_is search collections describe quicklooks ls plan none download sync retry verify prune status ledger init login demo completion help' -s h -l help -d 'show this and leave'
complete -c collgs-async -n '__collgs_async_is search collections describe quicklooks ls plan none download sync retry verify prune status ledger init login demo completion help' -s V -l version -d 'show the version and leave'
complete -c collgs-async -n '__collgs_async_is search collections describe quicklooks ls plan none download sync retry verify prune status ledger init login demo completion help' -s c -l config -r -F -d 'the configuration (COLLGS_CONFIG, or config.json where it exists)'
complete -c collgs-async -n '__collgs_async_is search collections describe quicklooks ls plan none download sync retry verify prune status ledger init login demo completion help' -s q -l quiet -d 'say nothing but errors'
complete -c collgs-async -n '__collgs_async_is search collections describe quicklooks ls plan none download sync retry verify prune status ledger init login demo completion help' -s v -l verbose -d 'say more'
complete -c collgs-async -n '__collgs_async_is search collections describe quicklooks ls plan none download sync retry verify prune status ledger init login demo completion help' -l log-json -d 'messages and progress as JSON, one a line, and no bars'
complete -c collgs-async -n '__collgs_async_is search' -l format -r -f -a 'table json jsonl geojson stac csv urls' -d 'how to list (default: table)'
complete -c collgs-async -n '__collgs_async_is search none download' -l sort -r -f -d 'in this order: time, cloud, orbit, overlap, size or identifier; a minus before it means backwards'
complete -c collgs-async -n '__collgs_async_is search plan none download' -l sizes -d 'ask the store how large each archive is'
complete -c collgs-async -n '__collgs_async_is search none download' -l map -r -F -d 'write a page with map, timeline and table, too'
complete -c collgs-async -n '__collgs_async_is search none download' -l quicklooks -l no-quicklooks -d 'whether that page shows small pictures of the scenes (default: yes)'
complete -c collgs-async -n '__collgs_async_is search none download' -l tiles -r -f -d 'a background for that page: tiles of a server, such as https://tiles.example/{z}/{x}/{y}.png, which the page then requests; without it the page makes no request'
complete -c collgs-async -n '__collgs_async_is search none download' -l tiles-credit -r -f -d 'whom that page credits for the tiles (default: their host)'
complete -c collgs-async -n '__collgs_async_is search' -l dry-run -d 'list only what a download would pull, as download --dry-run does'
complete -c collgs-async -n '__collgs_async_is search quicklooks plan none download sync' -l collection -r -f -a '(__collgs_async_collections)' -d 'the collection to search, such as S2_MSIL1C'
complete -c collgs-async -n '__collgs_async_is search quicklooks plan none download sync' -l bbox -r -f -d 'only products that meet this box, in degrees; W above E crosses the antimeridian'
complete -c collgs-async -n '__collgs_async_is search quicklooks plan none download sync' -l start -r -f -d 'only products sensed at or after this date, time or day: 30d and 2w ago, yesterday, today (UTC)'
complete -c collgs-async -n '__collgs_async_is search quicklooks plan none download sync' -l end -r -f -d 'only products sensed at or before this time (UTC); a day means its end'
complete -c collgs-async -n '__collgs_async_is search quicklooks plan none download sync' -l cloud-cover -r -f -d 'only optical products with at most, or from to, this much cloud in percent'
complete -c collgs-async -n '__collgs_async_is search quicklooks plan none download sync' -s n -l count -r -f -d 'at most so many products, the newest first'
complete -c collgs-async -n '__collgs_async_is search quicklooks plan none download sync' -l aoi -r -F -d 'only products whose footprint meets this area: GeoJSON, WKT, KML, GeoPackage or shapefile'
complete -c collgs-async -n '__collgs_async_is search quicklooks plan none download sync' -l min-overlap -r -f -d 'only products that cover so much of the area'
complete -c collgs-async -n '__collgs_async_is search quicklooks plan none download sync' -l months -r -f -d 'only products sensed in these months of any year, such as 5-9 or 11-2'
complete -c collgs-async -n '__collgs_async_is search quicklooks plan none download sync' -l tile -r -f -d 'only products of these tiles, such as 31UGR'
complete -c collgs-async -n '__collgs_async_is search quicklooks plan none download sync' -l relative-orbit -r -f -d 'only products of these tracks'
complete -c collgs-async -n '__collgs_async_is search quicklooks plan none download sync' -l platform -r -f -d 'only products of these satellites, such as S2A or Sentinel-2B'
complete -c collgs-async -n '__collgs_async_is search quicklooks plan none download sync' -l orbit-direction -r -f -a 'ASCENDING DESCENDING' -d 'only products of ASCENDING or of DESCENDING orbits'
complete -c collgs-async -n '__collgs_async_is search quicklooks plan none download sync' -l polarisation -r -f -d 'only radar products with all of these channels, such as VV,VH, or of one of these codes, such as DV'
complete -c collgs-async -n '__collgs_async_is search quicklooks plan none download sync' -l product-type -r -f -d 'only products of these types, such as MSIL2A or GRD'
complete -c collgs-async -n '__collgs_async_is search quicklooks plan none download sync' -l latest-baseline -l no-latest-baseline -d 'of the products of one acquisition, only those of the newest processing baseline'
complete -c collgs-async -n '__collgs_async_is search quicklooks plan none download sync' -l best-per -r -f -d 'one product for each tile, day or month, or for each tile,month'
complete -c collgs-async -n '__collgs_async_is search quicklooks plan none download sync' -l by -r -f -a 'cloud coverage' -d 'what makes it the best: cloud (the least, the default) or coverage (the most of the area)'
complete -c collgs-async -n '__collgs_async_is search quicklooks ls plan none download sync' -l ids -r -F -d 'exactly the products that this file, or standard input, names, one a line'
complete -c collgs-async -n '__collgs_async_is search quicklooks plan none download sync' -l strict -l no-strict -d 'refuse search parameters that the collection does not have, rather than warn'
complete -c collgs-async -n '__collgs_async_is search quicklooks plan none download sync' -l set -r -f -d 'any other search parameter of the catalogue; may be given several times'
complete -c collgs-async -n '__collgs_async_is search ls plan none download sync retry demo' -l bands -r -f -a '(__collgs_async_list B01 B02 B03 B04 B05 B06 B07 B08 B8A B09 B10 B11 B12 TCI PVI MASKS AOT WVP SCL CLD SNW VV VH HH HV CAL NOISE RFI IW1 IW2 IW3 EW1 EW2 EW3 EW4 EW5 Oa01 Oa02 Oa03 Oa04 Oa05 Oa06 Oa07 Oa08 Oa09 Oa10 Oa11 Oa12 Oa13 Oa14 Oa15 Oa16 Oa17 Oa18 Oa19 Oa20 Oa21 GEO TIE FLAGS)' -d 'only these bands of each archive, and what is needed to open them: B02,SCL, VV,IW2 or Oa03,GEO'
complete -c collgs-async -n '__collgs_async_is search ls plan none download sync retry demo' -l resolution -r -f -a '(__collgs_async_list 10 20 60 all)' -d 'of each band of Sentinel-2 the first of these that it has, such as 20,10, or all; else the finest'
complete -c collgs-async -n '__collgs_async_is search ls plan none download sync retry demo' -l metadata-only -l no-metadata-only -d 'only the metadata of each archive, and no image'
complete -c collgs-async -n '__collgs_async_is search ls plan none download sync retry demo' -l members -r -f -d 'only files of each archive that one of these patterns matches, beside the bands, if any are named'
complete -c collgs-async -n '__collgs_async_is search plan none download sync retry demo' -l else-whole -l no-else-whole -d 'fetch whole archives from a store that cannot send parts of them'
complete -c collgs-async -n '__collgs_async_is search plan none download sync retry demo' -l keep-part -l no-keep-part -d 'keep the fetched bytes as IDENTIFIER.zip.part, too, so that none of them comes again with the rest'
complete -c collgs-async -n '__collgs_async_is search collections describe quicklooks ls plan none download sync retry verify login' -l base-url -r -f -d 'the search address of the catalogue (default: https://collgs.lu/catalog/oseo/search)'
complete -c collgs-async -n '__collgs_async_is search collections describe quicklooks ls plan none download sync retry verify login' -l download-base-url -r -f -d 'what relative download links start from, when it is not the catalogue\'s own host'
complete -c collgs-async -n '__collgs_async_is search collections describe quicklooks ls plan none download sync retry verify login' -l timeout -r -f -d 'how long to wait for a connection, and for the next byte; never for a whole file (default: 120)'
complete -c collgs-async -n '__collgs_async_is search collections describe quicklooks ls plan none download sync retry verify login' -l retries -r -f -d 'tries in a row that bring no new byte before a product is given up; 0 and 1 both mean a single try (default: 3)'
complete -c collgs-async -n '__collgs_async_is search collections describe quicklooks ls plan none download sync retry verify login' -l page-size -r -f -d 'results of a search that are asked for at once, at most; a catalogue that gives fewer is asked for fewer (default: 100)'
complete -c collgs-async -n '__collgs_async_is search collections describe quicklooks ls plan none download sync retry verify login' -l outage -r -f -d 'how long to wait for a store or catalogue that is away altogether: seconds, or with m, h or d; 0: never (default: 900)'
complete -c collgs-async -n '__collgs_async_is search collections describe quicklooks ls plan none download sync retry verify login' -l staging -r -f -d 'how long to wait for an archive that the store brings from tape (HTTP 202), likewise; 0: never (default: 7200)'
complete -c collgs-async -n '__collgs_async_is search collections describe quicklooks ls plan none download sync retry verify login' -l user-agent -r -f -d 'how the program names itself to the server (default: collgs-async/0.1.0)'
complete -c collgs-async -n '__collgs_async_is search collections describe quicklooks ls plan none download sync retry verify login' -l contact -r -f -d 'where operators of the server can reach you, by mail or web; sent with the user agent'
complete -c collgs-async -n '__collgs_async_is search collections describe quicklooks ls plan none download sync retry verify login' -l auth-hosts -r -f -d 'hosts that may be given the password, beside the catalogue\'s own and those below it'
complete -c collgs-async -n '__collgs_async_is search collections describe quicklooks ls plan none download sync retry verify login' -l sign-in -r -f -a 'auto always' -d 'auto: where a form is met; always: before the search, for catalogues that list more to those they know (default: auto)'
complete -c collgs-async -n '__collgs_async_is search collections describe quicklooks ls plan none download sync retry verify login' -l proxy -r -f -d 'the HTTP proxy to go through'
complete -c collgs-async -n '__collgs_async_is search collections describe quicklooks ls plan none download sync retry verify login' -l ca-file -r -F -d 'certificates to trust instead of the system\'s, in PEM format'
complete -c collgs-async -n '__collgs_async_is collections describe' -l format -r -f -a 'table json' -d 'how to list (default: table)'
complete -c collgs-async -n '__collgs_async_is quicklooks' -l dry-run -d 'list what would be saved, and leave'
complete -c collgs-async -n '__collgs_async_is quicklooks none download sync retry verify prune ledger demo' -s o -l output -r -f -a '(__fish_complete_directories)' -d 'the folder for the archives; it is made when it is missing (default: downloads)'
complete -c collgs-async -n '__collgs_async_is quicklooks none download sync retry verify prune ledger demo' -l layout -r -f -d 'folders for the archives, such as {collection}/{platform}/{year}/{month}/{tile}; also {day}, {doy}, {orbit}, {baseline}, {type} and {level}; what is here already stays where it is; flat: none'
complete -c collgs-async -n '__collgs_async_is quicklooks none download sync retry verify prune ledger demo' -l skip-existing -l no-skip-existing -d 'do not fetch again what is in the folder'
complete -c collgs-async -n '__collgs_async_is quicklooks none download sync retry verify prune ledger demo' -l verify -r -f -a 'crc structure size' -d 'how an archive is checked before it gets its name (default: crc)'
complete -c collgs-async -n '__collgs_async_is ls' -l collection -r -f -a '(__collgs_async_collections)' -d 'the collection to search, such as S2_MSIL1C (default: what an identifier tells)'
complete -c collgs-async -n '__collgs_async_is ls' -l format -r -f -a 'table json jsonl csv' -d 'how to list (default: table)'
complete -c collgs-async -n '__collgs_async_is plan' -l diff -r -F -d 'say what is new, gone or changed since this plan: in the catalogue, or in the other plan that is named'
complete -c collgs-async -n '__collgs_async_is plan' -l exit-code -d 'with --diff: exit with 1 if anything differs, as git diff does'
complete -c collgs-async -n '__collgs_async_is plan' -l force -d 'replace a plan that is there'
complete -c collgs-async -n '__collgs_async_is plan' -l dry-run -d 'say what the plan would hold, and write nothing'
complete -c collgs-async -n '__collgs_async_is none download' -l dry-run -d 'list what would be pulled, and leave; --report tells the same as JSON'
complete -c collgs-async -n '__collgs_async_is none download' -l plan -r -F -d 'pull what this plan names; nothing is searched'
complete -c collgs-async -n '__collgs_async_is none download sync retry' -l report -r -F -d 'write what became of each product, as JSON'
complete -c collgs-async -n '__collgs_async_is none download' -l format -r -f -a 'table json jsonl geojson stac csv urls' -d 'how --dry-run lists (default: table)'
complete -c collgs-async -n '__collgs_async_is none download sync retry verify prune status ledger' -l ledger -r -F -d 'the ledger of the archives in the output folder (default: .collgs/ledger.sqlite in that folder)'
complete -c collgs-async -n '__collgs_async_is none download sync retry verify prune ledger' -l max-requests -r -f -d 'pages of results that sync asks the catalogue for in one run, at most; what fits is listed each time (default: 500)'
complete -c collgs-async -n '__collgs_async_is none download sync retry verify prune ledger' -l listing-overlap -r -f -d 'how far back sync lists in each run, where not everything fits: seconds, or with m, h or d (default: 2592000)'
complete -c collgs-async -n '__collgs_async_is none download sync retry verify prune ledger' -l listing-cycle -r -f -d 'say so where the listing of anything is older than this, likewise (default: 2592000)'
complete -c collgs-async -n '__collgs_async_is none download sync retry verify prune ledger' -l on-archive -r -f -d 'run this for each archive that has come, with its path; JSON on standard input; no shell'
complete -c collgs-async -n '__collgs_async_is none download sync retry verify prune ledger' -l on-end -r -f -d 'run this at the end of the run, with COLLGS_EXIT and a summary as JSON on standard input; no shell'
complete -c collgs-async -n '__collgs_async_is none download sync retry verify prune ledger' -l stac -l no-stac -d 'write a STAC item beside each archive, with its checksum and origin, and a catalog.json in each folder'
complete -c collgs-async -n '__collgs_async_is none download sync retry verify prune ledger' -l superseded -r -f -a 'keep move delete' -d 'what prune does with an archive once a newer edition of it is here, and was read and found right (default: keep)'
complete -c collgs-async -n '__collgs_async_is none download sync retry verify prune ledger' -l withdrawn -r -f -a 'keep move delete' -d 'what prune does with an archive that the catalogue has not listed for two weeks (default: keep)'
complete -c collgs-async -n '__collgs_async_is none download sync retry verify prune ledger' -l aged -r -f -a 'keep move delete' -d 'what prune does with an archive that a rolling time range has left behind (default: keep)'
complete -c collgs-async -n '__collgs_async_is none download sync retry verify prune ledger' -l keep-last -r -f -d 'how many editions of an acquisition prune keeps (default: 1)'
complete -c collgs-async -n '__collgs_async_is none download sync retry verify prune ledger' -l max-delete -r -f -d 'the most that one run of prune deletes of what is here, in percent; 10 archives at least (default: 5)'
complete -c collgs-async -n '__collgs_async_is none download sync retry verify demo' -s j -l workers -r -f -d 'how many archives are fetched at the same time (default: 4)'
complete -c collgs-async -n '__collgs_async_is none download sync retry verify demo' -l segments -r -f -d 'the most connections for one archive, when workers have nothing else to do (default: 4)'
complete -c collgs-async -n '__collgs_async_is none download sync retry verify demo' -l chunk-size -r -f -d 'the least that is read and written at once (default: 65536)'
complete -c collgs-async -n '__collgs_async_is none download sync retry verify demo' -l limit-rate -r -f -d 'at most so many bytes a second, over all archives; k, M and G count in thousands; off: no limit. Or by local time: "08:00,2M 18:00,20M 23:00,off", or Mon-08:00,2M for one day of the week; 0 pauses'
complete -c collgs-async -n '__collgs_async_is none download sync retry verify demo' -l min-rate -r -f -d 'a connection that is slower than this for half a minute is made anew; bytes a second, with k, M or G'
complete -c collgs-async -n '__collgs_async_is none download sync retry verify demo' -l max-bytes -r -f -d 'stop the run once so many bytes of archives have come; k, M, G and T count in thousands'
complete -c collgs-async -n '__collgs_async_is none download sync retry verify demo' -l max-time -r -f -d 'stop the run after this time: seconds, or with m, h or d'
complete -c collgs-async -n '__collgs_async_is none download sync retry verify demo' -l until -r -f -d 'stop the run when it is this time next, such as 06:00; local time'
complete -c collgs-async -n '__collgs_async_is none download sync retry verify demo' -l keep-free -r -f -d 'begin no archive that would leave less room than this on the disk, such as 200G or 5%'
complete -c collgs-async -n '__collgs_async_is sync' -l dry-run -d 'say what would be fetched, and what the catalogue lists no more, and leave'
complete -c collgs-async -n '__collgs_async_is sync' -l format -r -f -a 'table json' -d 'how --dry-run lists (default: table)'
complete -c collgs-async -n '__collgs_async_is sync' -l plan -r -F -d 'with --dry-run: write what would be fetched as a plan'
complete -c collgs-async -n '__collgs_async_is sync' -l believe -d 'believe once a catalogue that lists much less than before, or a folder that has much less'
complete -c collgs-async -n '__collgs_async_is retry' -l kind -r -f -d 'only what failed by this error, such as NotAvailableError'
complete -c collgs-async -n '__collgs_async_is verify' -l repair -d 'fetch again what is wrong; needs --collection'
complete -c collgs-async -n '__collgs_async_is verify' -l manifest -d 'compare the files of each product with its own manifest, too'
complete -c collgs-async -n '__collgs_async_is verify' -l dry-run -d 'with --repair: say what would be fetched again, and leave'
complete -c collgs-async -n '__collgs_async_is prune' -l dry-run -d 'list what would be removed, and leave'
complete -c collgs-async -n '__collgs_async_is status' -s o -l output -r -f -a '(__fish_complete_directories)' -d 'the folder for the archives; it is made when it is missing'
complete -c collgs-async -n '__collgs_async_is status' -l format -r -f -a 'table json' -d 'how to tell it (default: table)'
complete -c collgs-async -n '__collgs_async_is ledger' -l format -r -f -a 'jsonl csv sha256sums' -d 'how to export (default: jsonl)'
complete -c collgs-async -n '__collgs_async_is ledger' -l dry-run -d 'with relocate: say what would be moved, and leave'
complete -c collgs-async -n '__collgs_async_is demo' -l products -r -f -d 'how many products there are (default: 12)'
complete -c collgs-async -n '__collgs_async_is demo' -l constellation -d 'serve a year of Sentinel-1 and -2 over Luxembourg and Fiji, with real tiles, orbits and reprocessings'
complete -c collgs-async -n '__collgs_async_is demo' -l history -d 'serve a catalogue with a history: products come late, go, return, are reprocessed and repaired'
complete -c collgs-async -n '__collgs_async_is demo' -l day -r -f -d 'serve what --history lists N days after its beginning (default: 0)'
complete -c collgs-async -n '__collgs_async_is demo' -l fault -r -f -d 'what the store does wrong, one product each: all, list, or names'
complete -c collgs-async -n '__collgs_async_is demo' -l sign-in -r -f -a 'html script' -d 'let the store ask for a sign-in, by a form in html or put together by a script (demo, demo)'
complete -c collgs-async -n '__collgs_async_is demo' -l serve -d 'only serve, and say how to use it'
complete -c collgs-async -n '__collgs_async_is demo' -l dry-run -d 'list what the demo would pull, and leave'
complete -c collgs-async -n '__collgs_async_is demo' -l port -r -f -d 'where to serve (default: any free port)'
complete -c collgs-async -n '__collgs_async_is describe' -f -a '(__collgs_async_collections)'
complete -c collgs-async -n '__collgs_async_is ls' -f
complete -c collgs-async -n '__collgs_async_is plan' -F
complete -c collgs-async -n '__collgs_async_is verify' -f -a '(__fish_complete_directories)'
complete -c collgs-async -n '__collgs_async_is status' -f
complete -c collgs-async -n '__collgs_async_is ledger' -f -a 'export rebuild relocate'
complete -c collgs-async -n '__collgs_async_is init' -F
complete -c collgs-async -n '__collgs_async_is completion' -f -a 'bash zsh fish'
complete -c collgs-async -n '__collgs_async_is help' -f -a 'selection parts plans files config environment sign-in mirror transfer exit-codes search collections describe quicklooks ls plan download sync retry verify prune status ledger init login demo completion help'
