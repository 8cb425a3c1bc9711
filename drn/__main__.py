from drn.commands.main import main

main()
