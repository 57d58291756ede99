"""The sentences of the tour: six topics, and questions that share few words with their answers."""

TOPICS = {
    "Pets": (
        "The cat sat on the mat and watched the door.",
        "Our dog barks whenever the postman comes up the path.",
        "A rabbit needs hay every day to keep its teeth short.",
        "The kitten fell asleep in a basket of clean laundry.",
        "She taught her parrot to whistle two songs.",
        "Puppies chew on shoes while their new teeth come in.",
    ),
    "Cooking": (
        "Fry the onions slowly until they turn golden.",
        "Bread dough rises faster in a warm kitchen.",
        "Add a pinch of salt before the water boils.",
        "The soup needs another hour on a low flame.",
        "Whisk the eggs with sugar until the mixture is pale.",
        "A sharp knife makes it easy to slice ripe tomatoes.",
    ),
    "Astronomy": (
        "Jupiter has more moons than any rocky planet.",
        "The telescope collected light from a distant galaxy.",
        "A comet grows its tail as it comes close to the Sun.",
        "Neutron stars spin hundreds of times each second.",
        "During an eclipse the Moon hides the Sun.",
        "The probe left the solar system after forty years.",
    ),
    "Money": (
        "The central bank raised interest rates again.",
        "Shares fell after the company missed its profit target.",
        "Inflation makes savings lose their value over time.",
        "They took out a mortgage to buy the house.",
        "Investors moved their funds from stocks into bonds.",
        "The tax office returned part of what she had paid.",
    ),
    "Football": (
        "The striker scored twice in the second half.",
        "The referee showed a red card for the late tackle.",
        "Our goalkeeper saved a penalty in extra time.",
        "The fans sang long after the final whistle.",
        "The coach put a fresh midfielder on the pitch.",
        "They won the cup with a header from a corner kick.",
    ),
    "Programming": (
        "The compiler rejects code that borrows a value twice.",
        "A missing index made the database query slow.",
        "She fixed the bug by adding one unit test.",
        "The function returns an array of floating point numbers.",
        "Two threads waited for each other and the program hung.",
        "Push the branch and open a pull request for review.",
    ),
}

QUERIES = (
    "Where does my pet like to nap?",
    "How do I bake a loaf at home?",
    "What can be seen in the night sky?",
    "Is it a good time to borrow from a bank?",
    "Who decided the match?",
    "Why does my software freeze?",
)

CAT = "The cat sat on the mat"
